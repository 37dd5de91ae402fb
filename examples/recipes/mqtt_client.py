"""An MQTT client whose callbacks come from a thread of its own. It needs paho's client: `pip install paho-mqtt`.

Look for: what paho's thread hears becomes a message to the actor, in the same order, and waits for room if the mailbox is full;
a payload that can't be read is logged, and the connection lives on; a lost connection is a crash, and the next life connects
anew, with a backoff for as long as it takes. At the end paho's thread is joined, but not in the thread of the event loop.
"""

import contextlib
import sys
from typing import Any

import anyio.to_thread
import paho.mqtt.client as mqtt
from anyio.abc import ObjectSendStream, SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from paho.mqtt.enums import CallbackAPIVersion
from tenacity import wait_exponential, wait_random

from supervise import Factory, Restart, SendError, Supervisor, child, current
from supervise.adapters.service import service

PATIENT = Restart.permanent(wait=wait_exponential(multiplier=0.05, max=30) + wait_random(0, 0.05))


class Thermometer:
    def __init__(self, port: int, readings: ObjectSendStream[float]) -> None:
        self.me, self.port, self.readings = current().address, port, readings
        self.gone, self.why = anyio.Event(), ""
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)  # that is the supervisor's
        self.client.on_connect = self.subscribe
        self.client.on_message = lambda client, _, message: self.tell(Thermometer.read, message.payload)
        self.client.on_disconnect = lambda client, _, flags, why, more: self.tell(Thermometer.lost, client, str(why))

    async def start(self) -> None:
        await anyio.to_thread.run_sync(self.client.connect, "127.0.0.1", self.port)
        self.client.loop_start()

    async def wait(self) -> None:
        await self.gone.wait()
        raise ConnectionError(self.why)

    async def stop(self) -> None:
        self.client.on_disconnect = self.client.on_connect = None
        self.client.disconnect()
        with anyio.move_on_after(2):  # its thread may wait in tell(): for this loop, or for room, which the next life makes
            await anyio.to_thread.run_sync(self.client.loop_stop, abandon_on_cancel=True)
        self.client.on_message = None  # else its sockets would be the collector's to close

    def subscribe(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe("kitchen")

    def tell(self, handler: Any, *args: object) -> None:
        """In paho's thread: returns when the message is in the mailbox."""
        with contextlib.suppress(SendError):  # it is being stopped
            self.me.from_thread.send(handler, *args)

    async def read(self, payload: bytes) -> None:
        await self.readings.send(float(payload))

    async def lost(self, client: mqtt.Client, why: str) -> None:  # behind all readings that came before
        if client is self.client:  # not that of a life before, whose last message it was
            self.why = why
            self.gone.set()


def kitchen(port: int, readings: ObjectSendStream[float]) -> Factory[Thermometer]:
    start, stop, wait = Thermometer.start, Thermometer.stop, Thermometer.wait
    return service(Thermometer, port, readings, start=start, stop=stop, wait=wait)


async def broker(stream: SocketStream) -> None:
    """Stands for one, as far as this takes: tells six readings to who subscribes, of which the second is none, and hangs up."""
    async with stream:
        received = BufferedByteReceiveStream(stream)
        while True:
            kind, length = await received.receive_exactly(2)
            body = await received.receive_exactly(length)
            if kind >> 4 == 1:  # CONNECT
                await stream.send(b"\x20\x02\x00\x00")
            elif kind >> 4 == 8:  # SUBSCRIBE
                await stream.send(b"\x90\x03" + body[:2] + b"\x00")
                for reading in (b"20.1", b"warm", b"20.2", b"20.3", b"20.4", b"20.5"):
                    await stream.send(b"\x30\x0d\x00\x07kitchen" + reading)
                return


async def main() -> None:
    sent, received = anyio.create_memory_object_stream[float](10)
    listening = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with sent, received, listening, anyio.create_task_group() as group:
        group.start_soon(listening.serve, broker)
        port = listening.extra(SocketAttribute.local_port)
        thermometer = child(kitchen(port, sent), expects=(ValueError,), retry_start=True, restart=PATIENT)
        async with Supervisor("app", thermometer):
            print(readings := [await received.receive() for _ in range(15)])
            group.cancel_scope.cancel()
            assert readings == [20.1, 20.2, 20.3, 20.4, 20.5] * 3


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 1 else "asyncio")

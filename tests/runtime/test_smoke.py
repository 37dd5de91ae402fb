import anyio, pytest
from supervise import Supervisor


class Slow:
    async def __aenter__(self):
        return self

    async def __aexit__(self, *a):
        await anyio.sleep(100)

    async def ping(self):
        return 1


@pytest.mark.anyio
async def test_stop_deadline():
    seen = []
    t0 = anyio.current_time()
    async with Supervisor("app", listener=seen.append) as app:
        a = await app.start(Slow)
        assert await a.call(Slow.ping) == 1
    assert anyio.current_time() - t0 == 5.0
    print(*seen, sep="\n")

"""Erlang/OTP: gen_servers in a VM of their own, which is started for each sample and times itself by the wall clock."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final, cast

from tests.benchmarks.sample import Sample, Workload

# OTP keeps all restarts of the period in a list and walks it at each crash, so each 100 crashes get a fresh supervisor.
SCRIPT: Final = r"""#!/usr/bin/env escript
%%! +sbwt none +P 1000000
-mode(compile).
-export([init/1, handle_call/3, handle_cast/2, start_link/0]).

main([Workload, Size]) ->
    logger:set_primary_config(level, none),
    N = list_to_integer(Size),
    Work = list_to_atom(Workload),
    run(Work, max(2, min(N div 20, 5000))),
    erlang:garbage_collect(),
    io:format("{~s}~n", [lists:join(", ", [io_lib:format("\"~s\": ~f", [K, float(V)]) || {K, V} <- run(Work, N)])]).

start_link() -> gen_server:start_link({local, bench}, ?MODULE, counter, []).
server() -> {ok, Pid} = gen_server:start(?MODULE, counter, []), Pid.

init({children, Per}) -> {ok, {#{intensity => Per, period => 5}, [#{id => bench, start => {?MODULE, start_link, []}}]}};
init(counter) -> {ok, 0};
init({node, Client}) -> {ok, {Client, none}}.

handle_call({following, Pid}, _, {Client, _}) -> {reply, ok, {Client, Pid}};
handle_call({add, Amount}, _, Total) -> {reply, Total + Amount, Total + Amount}.

handle_cast({token, 0}, {Client, _} = State) -> Client ! done, {noreply, State};
handle_cast({token, Left}, {_, Next} = State) -> gen_server:cast(Next, {token, Left - 1}), {noreply, State};
handle_cast(crash, _) -> exit(boom);
handle_cast({add, Amount}, Total) -> {noreply, Total + Amount}.

timed(Name, N, Work) ->
    Start = erlang:monotonic_time(nanosecond),
    Work(),
    [{Name ++ ".wall", (erlang:monotonic_time(nanosecond) - Start) / 1000 / N}].

times(0, _) -> ok;
times(N, Work) -> Work(), times(N - 1, Work).

crowd(N, Work) ->
    Pid = server(), Client = self(), Each = max(1, N div 100),
    timed("time", Each * 100, fun() ->
        times(100, fun() -> spawn_link(fun() -> times(Each, fun() -> Work(Pid) end), Client ! done end) end),
        times(100, fun() -> receive done -> ok end end),
        Total = Each * 100,
        Total = gen_server:call(Pid, {add, 0}, infinity)
    end).

run(send_unbounded, N) ->
    Pid = server(),
    timed("time", N, fun() ->
        times(N, fun() -> gen_server:cast(Pid, {add, 1}) end),
        N = gen_server:call(Pid, {add, 0}, infinity)
    end);
run(call, N) ->
    Pid = server(),
    timed("time", N, fun() -> times(N, fun() -> gen_server:call(Pid, {add, 1}, infinity) end) end);
run(callers, N) -> crowd(N, fun(Pid) -> gen_server:call(Pid, {add, 1}, infinity) end);
run(fan_in, N) -> crowd(N, fun(Pid) -> gen_server:cast(Pid, {add, 1}) end);
run(ring, N) ->
    Nodes = [element(2, gen_server:start(?MODULE, {node, self()}, [])) || _ <- lists:seq(1, min(N, 1000))],
    [ok = gen_server:call(A, {following, B}) || {A, B} <- lists:zip(Nodes, tl(Nodes) ++ [hd(Nodes)])],
    timed("time", N, fun() -> gen_server:cast(hd(Nodes), {token, N}), receive done -> ok end end);
run(idle, N) ->
    Before = erlang:memory(total),
    Key = make_ref(),
    Spawn = timed("spawn", N, fun() -> put(Key, [server() || _ <- lists:seq(1, N)]) end),
    Used = (erlang:memory(total) - Before) / N,
    Stop = timed("stop", N, fun() -> [gen_server:stop(Pid) || Pid <- get(Key)] end),
    [{"bytes", Used}] ++ Spawn ++ Stop;
run(crash, N) when N > 100 ->
    timed("time", N, fun() -> times(N div 100, fun() -> run(crash, 100) end) end);
run(crash, N) ->
    process_flag(trap_exit, true),
    {ok, Supervisor} = supervisor:start_link(?MODULE, {children, 2 * N}),
    Figures = timed("time", N, fun() -> times(N, fun fresh/0) end),
    gen_server:stop(Supervisor, shutdown, infinity),
    Figures.

fresh() ->
    gen_server:cast(bench, crash),
    answer().

%% A message to a dead process is lost, so one asks until the fresh one answers.
answer() ->
    try gen_server:call(bench, {add, 1}, infinity) of 1 -> ok
    catch exit:_ -> erlang:yield(), answer()
    end.
"""


def _run(workload: str, size: int) -> Sample:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "bench.escript"
        script.write_text(SCRIPT)
        done = subprocess.run(["escript", str(script), workload, str(size)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"escript failed: {done.stdout}{done.stderr}")
    return cast(Sample, json.loads(done.stdout))


WORKLOADS: Final[Mapping[str, Workload]] = {
    name: partial(_run, name) for name in ("send_unbounded", "call", "callers", "fan_in", "ring", "idle", "crash")
}

"""What each stage of a verdict costs in cycles, and what a start leaves free, on the emulated device.

Three starts, of which none adds a byte to the firmware. In the first the guard is followed instruction by instruction while it
judges scan parameters (`followed.py`). In the second it starts as always, and what it leaves free is told before its loop
begins. In the third the package is loaded as always, but no port is opened: in the memory of the rest of the guard the layers
of its networks run again and again, interrupts off. The time of as many empty turns is taken off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gantryguard.benchmarks import clock_mhz
from gantryguard.benchmarks.followed import cycles_to_verdict
from gantryguard.benchmarks.latency import BITS_PER_BYTE, REST_NS, commands
from gantryguard.client.bytecode import compile_module
from gantryguard.client.device_image import build_flash, device_files
from gantryguard.errors import UserError
from gantryguard.profiles.files import baud_of
from gantryguard.profiles.profile import Profile
from gantryguard.rig.board import load_board
from gantryguard.rig.clock import S
from gantryguard.rig.guarded import booted_guard
from gantryguard.rig.pico import EmulatedPico
from gantryguard.signing.development import provisioned

LIMIT_NS = 10 * S
TIMES = 50  # turns, of which one takes the time that as many more take
LAYER_INPUTS, LAYER_OUTPUTS = 24, 32
# Published figures of others, cycles per multiply-accumulate, and where they stand.
PEERS = (
    ("TensorFlow Lite Micro on RP2040, int8 1x1 convolution 128 x 128", 8.2, "pico-tflmicro, its own results"),
    ("Cortex-M4, anomaly detection, X-CUBE-AI", 3.4, "MLPerf Tiny"),
    ("Cortex-M4, anomaly detection, microTVM with CMSIS-NN", 3.9, "MLPerf Tiny"),
    ("Pico, fully connected (float assumed), about", 340.0, "TinyML benchmark"),
)

# Every explicit collection of the start is noted: how much was in use when it began.
ROOM = b"""
import gc, machine, os, sys, time
try:
    import micropython
    micropython.kbd_intr(-1)
    class Noting:
        most = 0
        def collect(self):
            self.most = max(self.most, gc.mem_alloc())
            gc.collect()
        def __getattr__(self, name):
            return getattr(gc, name)
    noting = sys.modules["gc"] = Noting()
    from interposer import app
    from interposer.bridge import Bridge
    start = Bridge.start
    def largest():
        low, high = 0, gc.mem_free()
        while high - low > 256:
            size = (low + high) // 2
            try:
                bytearray(size)
                low = size
            except MemoryError:
                high = size
            gc.collect()
        return low
    def started(bridge, death, now):
        start(bridge, death, now)
        noting.collect()
        time.sleep_ms(300)
        print("heap", gc.mem_free())
        print("piece", largest())
        print("peak", noting.most)
        flash = os.statvfs("/")
        print("flash", flash[0] * flash[4])
        print("end")
        time.sleep_ms(300)
        machine.reset()
    Bridge.start = started
    app.main()
finally:
    machine.reset()
"""
CORE = b"""
import gc, machine, sys, time
try:
    import micropython
    micropython.kbd_intr(-1)
    class Watchdog:
        def feed(self):
            pass
    from interposer import loading
    loaded = loading.load(Watchdog())
    sys.path.append("")
    gc.collect()
    import stages
    stages.measure(loaded.judge, loaded.package.table("weights"))
except BaseException as error:
    print("failed", type(error).__name__, error)
print("end")
time.sleep_ms(300)
machine.reset()
"""

# Turns by name; `number` is the word of a layer.
TURNS = {
    "nothing": "pass",
    "dual": "run(other, 0, 1, ptr32(block[B_TRIAL]))",
    "plain": "run_layers(ptr8(other[0]), ptr32(other[1]), number, 1, ptr32(other[2]), ptr32(other[3]))",
}
TURN = """
@micropython.viper
def turn_{name}(times: int, block: ptr32, other: ptr32, work, frame: ptr8, length: int, number: int):
    while times:
        {turn}
        times -= 1
"""
DEVICE = """
import gc, machine, micropython, time
from array import array
from interposer.core.compat import pointers
from interposer.core.network import B_PROGRAMS, LAYER_WORDS, N_LAYER_AT, N_LAYERS, NET_WORDS, Y_IN, Y_OUT
from interposer.core.network_dual_thumb import run
from interposer.core.network_program import Compiler
from interposer.core.network_thumb import run_layers
from interposer.core.pipeline import B_TRIAL
def us(turn, times, arguments):
    state = machine.disable_irq()
    begin = time.ticks_us()
    turn(times, *arguments)
    end = time.ticks_us()
    machine.enable_irq(state)
    return time.ticks_diff(end, begin)
def cycles(turn, *arguments):
    def net(each):
        return us(each, 2 * TIMES, arguments) - us(each, TIMES, arguments)
    return (net(turn) - net(turn_nothing)) * CYCLES_PER_US / TIMES
def measure(judge, weights):
    engine = judge.network_engine
    def say(name, turn, other, work, number):
        print("cycles", name, cycles(turn, judge.block, other, work, FRAME, len(FRAME), number))
    nets = engine.nets
    for index in range(len(engine.scores)):
        first = nets[index * NET_WORDS + N_LAYER_AT]
        for number in range(nets[index * NET_WORDS + N_LAYERS]):
            dual("layer:%d:%d" % (index, number), say, engine.nets, weights, first + number * LAYER_WORDS)
    made = array("i", (INPUTS, OUTPUTS, 0, LAYER_WORDS, 6, 0, 127, 0)) + array("i", range(OUTPUTS))
    weights = bytes(i * 7 & 255 for i in range(INPUTS * OUTPUTS))  # those of the package are no longer needed
    dual("dual", say, made, weights, 0)
    target = array("i", bytes(4 * OUTPUTS))
    inputs = array("i", range(INPUTS))
    say("plain", turn_plain, pointers(weights, made, inputs, target), None, 0)
def dual(name, say, nets, weights, layer):
    n_in, n_out = nets[layer + Y_IN], nets[layer + Y_OUT]
    record = list(nets[layer : layer + LAYER_WORDS])
    nets = array("i", nets)
    nets.extend(array("i", record * 2))
    layer = len(nets) - LAYER_WORDS
    target = array("i", bytes(4 * max(n_in, n_out)))
    compiler = Compiler(nets, weights, target, target, max(n_in, n_out))
    for count in (0, 1):  # no layer: its inputs are fetched and its outputs stored all the same
        block = program = None
        gc.collect()
        program = compiler.stretch(layer, count)
        block = array("i", bytes(4 * (B_PROGRAMS + 2)))
        block[B_PROGRAMS + 1] = pointers(program)[0]
        block[B_PROGRAMS] = pointers(block)[0] + 4 * (B_PROGRAMS + 1)
        say("%s:%d" % (name, count), turn_dual, block, None, 0)
"""


@dataclass(frozen=True)
class Stages:
    """Cycles by stage, kernels with the peers' beside them (`name`, `cycles_per_mac`, `source`), and memory in bytes.

    `memory`: `free_heap` after the start, `largest_free_piece` of it to 256 bytes, `peak_heap`, the most that was in use when a
    collection of the start began, and `free_flash` of the filesystem.
    """

    stages_cycles: Mapping[str, float]
    kernels: list[dict[str, str | float]]
    memory: Mapping[str, int]


def measure_stages(profile: Profile, micropython: Path, send_us: float) -> Stages:
    """Run them on an emulated guard with this profile. UserError (exit 8) if it does not come to an end.

    `send_us`: what the line sees between a verdict and the first byte out.
    """
    followed = _followed(profile, micropython)
    known = f"INPUTS, OUTPUTS, TIMES, CYCLES_PER_US = {LAYER_INPUTS}, {LAYER_OUTPUTS}, {TIMES}, {clock_mhz()}\n"
    known += "FRAME = b''\n"
    turns = "".join(TURN.format(name=name, turn=turn) for name, turn in TURNS.items())
    module = compile_module((DEVICE + turns + known).encode(), "stages.py")
    room = _run(profile, micropython, {"main.py": ROOM})
    said = _run(profile, micropython, {"main.py": CORE, "stages.mpy": module})
    cycles = {words[1]: float(words[2]) for words in said if words[0] == "cycles"}
    names = {"heap": "free_heap", "piece": "largest_free_piece", "peak": "peak_heap", "flash": "free_flash"}
    memory = {names[words[0]]: int(words[1]) for words in room if words[0] in names}
    if not cycles or len(memory) != len(names):
        raise _unfinished("measured nothing")
    stages = _stages(cycles, profile, followed)
    stages["send"] = send_us * clock_mhz()
    stages["total"] = sum(stages.values())
    return Stages({name: round(value, 1) for name, value in stages.items()}, _kernels(cycles), memory)


def _followed(profile: Profile, micropython: Path) -> dict[str, float]:
    """Cycles of the second frame of scan parameters from its last byte to its verdict."""
    pico = booted_guard(profile, micropython)
    baud = baud_of(profile)
    for number, frame in enumerate(commands(profile, 4)):
        pico.run_for(REST_NS)
        end_ns = pico.now_ns + len(frame) * BITS_PER_BYTE * S // baud
        pico.console_in.send(frame)
        if number == 3:
            return cycles_to_verdict(pico, frame, end_ns)
        pico.run_until(end_ns + REST_NS)
    raise AssertionError("there are four commands")


def _run(profile: Profile, micropython: Path, extra: Mapping[str, bytes]) -> list[list[str]]:
    """What the device said, line by line, in words."""
    files = device_files(load_board(), {**provisioned(profile.blob), **extra})
    pico = EmulatedPico(build_flash(micropython, files), load_board(), baud=baud_of(profile))
    pico.run_while(lambda: b"end\r\n" not in pico.maintenance.data, LIMIT_NS)
    said = [line.split() for line in pico.maintenance.data.decode(errors="replace").splitlines() if line.strip()]
    if ["end"] not in said or any(words[0] == "failed" for words in said):
        raise _unfinished(repr(pico.maintenance.data[-100:]))
    return said


def _unfinished(why: str) -> UserError:
    message = f"The guard did not time its stages ({why})."
    return UserError(message, remedy="check the package with `gantryguard package inspect`.", exit_code=8)


def _stages(cycles: Mapping[str, float], profile: Profile, followed: Mapping[str, float]) -> dict[str, float]:
    """By stage; `scores` is what networks take besides their layers."""
    stages = {name: followed[name] for name in ("receive", "check", "decode", "features", "limits")}
    for index, network in enumerate(profile.network_names):
        layer = 0
        while f"layer:{index}:{layer}:1" in cycles:
            stages[f"{network}, layer {layer + 1}"] = _layer(cycles, f"layer:{index}:{layer}")
            layer += 1
    layers = sum(value for name, value in stages.items() if ", layer" in name)
    return {**stages, "scores": followed["networks"] - layers, "verdict": followed["verdict"]}


def _layer(cycles: Mapping[str, float], name: str) -> float:
    return cycles[f"{name}:1"] - cycles[f"{name}:0"]


def _kernels(cycles: Mapping[str, float]) -> list[dict[str, str | float]]:
    macs = LAYER_INPUTS * LAYER_OUTPUTS
    shape = f"{LAYER_INPUTS} x {LAYER_OUTPUTS}"
    measured = f"measured, RP2040 at {clock_mhz()} MHz"
    own = (
        (f"two products per multiplication, layer {shape}, whole layer", _layer(cycles, "dual") / macs, measured),
        (f"any int8 layer, {shape}, with its call", cycles["plain"] / macs, measured),
    )
    return [{"name": name, "cycles_per_mac": round(figure, 2), "source": source} for name, figure, source in (*own, *PEERS)]

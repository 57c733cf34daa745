import os
from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from telemetry.health.disk import DiskProbe, WearProbe
from telemetry.health.network import NetworkProbe, default_interface
from telemetry.health.process import LoopLag, ProcessProbe
from telemetry.health.system import SystemProbe
from telemetry.health.temperature import TemperatureProbe
from tests.support.clock import ManualClock


def plant(root: Path, files: dict[str, str]) -> Path:
    """Make a tree of files, as the kernel would show it below /proc or /sys."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.fixture
def proc(tmp_path, monkeypatch):
    """An empty /proc, for psutil as well."""
    folder = tmp_path / "proc"
    folder.mkdir()
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(folder))
    psutil.net_io_counters.cache_clear()
    yield folder
    psutil.net_io_counters.cache_clear()


@pytest.fixture
def sys(tmp_path):
    """An empty /sys."""
    folder = tmp_path / "sys"
    folder.mkdir()
    return folder


MEMINFO = """MemTotal: 4000000 kB
MemFree: 500000 kB
MemAvailable: 1000000 kB
Buffers: 0 kB
Cached: 0 kB
Shmem: 0 kB
Active: 0 kB
Inactive: 0 kB
Slab: 0 kB
SwapTotal: {swap} kB
SwapFree: 250000 kB
"""


VMSTAT = "pswpin 0\npswpout 0\n"


def cpu_line(busy: int, idle: int, iowait: int = 0) -> str:
    return f"cpu  {busy} 0 0 {idle} {iowait} 0 0 0 0 0\n"


class TestSystem:
    def test_cpu_is_measured_between_readings(self, proc):
        """Waiting for the disk is not work; the first reading has nothing to compare with."""
        plant(
            proc,
            {"stat": cpu_line(100, 900), "meminfo": MEMINFO.format(swap=1000000), "vmstat": VMSTAT},
        )
        probe = SystemProbe()
        assert probe.read()["cpu_percent"] is None
        plant(proc, {"stat": cpu_line(130, 930, iowait=40)})
        assert probe.read()["cpu_percent"] == 30.0

    def test_counters_that_run_backwards_are_no_negative_use(self, proc):
        """The kernel's iowait may shrink."""
        plant(
            proc,
            {"stat": cpu_line(100, 100, 500), "meminfo": MEMINFO.format(swap=0), "vmstat": VMSTAT},
        )
        probe = SystemProbe()
        probe.read()
        plant(proc, {"stat": cpu_line(300, 100, 480)})
        assert probe.read()["cpu_percent"] == 100.0

    def test_memory_and_swap(self, proc):
        """Memory is used as far as it is not available; a kernel's cache is."""
        plant(
            proc,
            {"stat": cpu_line(1, 1), "meminfo": MEMINFO.format(swap=1000000), "vmstat": VMSTAT},
        )
        values = SystemProbe().read()
        assert values["memory_used_percent"] == 75.0
        assert values["memory_available_bytes"] == 1000000 * 1024
        assert values["swap_used_percent"] == 75.0

    def test_a_machine_without_swap_has_no_swap_value(self, proc):
        """No swap is not the same as swap that is empty."""
        plant(proc, {"stat": cpu_line(1, 1), "meminfo": MEMINFO.format(swap=0), "vmstat": VMSTAT})
        assert SystemProbe().read()["swap_used_percent"] is None


def mountinfo(*mounts: tuple[str, str, str]) -> dict[str, str]:
    lines = [
        f"{number} 1 179:2 / {point} {options} shared:1 - ext4 /dev/x {super_options}\n"
        for number, (point, options, super_options) in enumerate(mounts)
    ]
    return {"self/mountinfo": "".join(lines)}


class TestDisk:
    def test_space_is_counted_as_df_does(self, tmp_path, monkeypatch):
        """Blocks that are kept for root count neither as used nor as free."""
        status = os.statvfs_result((4096, 4096, 1000, 300, 200, 1000, 250, 250, 0, 255))
        monkeypatch.setattr(os, "statvfs", lambda path: status)
        values = DiskProbe(tmp_path, proc=tmp_path).read()
        assert values["disk_used_percent"] == pytest.approx(100 * 700 / 900, abs=0.1)
        assert values["disk_free_bytes"] == 200 * 4096
        assert values["disk_inodes_used_percent"] == 75.0
        assert values["disk_read_only"] is False

    def test_a_file_system_without_inodes_has_no_value_for_them(self, tmp_path, monkeypatch):
        """The file system btrfs says 0 inodes."""
        status = os.statvfs_result((4096, 4096, 1000, 300, 200, 0, 0, 0, os.ST_RDONLY, 255))
        monkeypatch.setattr(os, "statvfs", lambda path: status)
        values = DiskProbe(tmp_path, proc=tmp_path).read()
        assert values["disk_inodes_used_percent"] is None
        assert values["disk_read_only"] is True

    @pytest.mark.parametrize(
        ("mounts", "read_only"),
        [
            ([("/", "rw,noatime", "rw")], False),
            ([("/", "ro,noatime", "rw")], True),
            ([("/", "rw", "rw,emergency_ro")], True),
            ([("/", "ro", "ro"), ("{}", "rw", "rw,errors=remount-ro")], False),
            ([("/", "rw", "rw"), ("{}", "rw", "ro")], True),
            ([("/", "rw", "rw"), ("{}x", "ro", "ro")], False),
            ([("{}", "rw", "rw"), ("{}", "ro", "ro")], True),
        ],
    )
    def test_read_only_is_what_the_mount_of_the_state_says(self, tmp_path, mounts, read_only):
        """The mount that is nearest to the state counts, of equals the last; names may have
        spaces.
        """
        state = tmp_path / "kiosk state" / "deep"
        state.mkdir(parents=True)
        point = str(state.parent).replace(" ", "\\040")
        proc = plant(
            tmp_path / "proc",
            mountinfo(*((where.format(point), mine, its) for where, mine, its in mounts)),
        )
        assert DiskProbe(state, proc=proc).read()["disk_read_only"] is read_only

    @pytest.mark.parametrize(
        ("files", "wear"),
        [
            ({"life_time": "0x01 0x03\n"}, 30.0),
            ({"life_time": "0x0b 0x01\n", "pre_eol_info": "0x01\n"}, 110.0),
            ({"life_time": "0x02 0x02\n", "pre_eol_info": "0x03\n"}, 90.0),
            ({"life_time": "0x00 0x00\n", "pre_eol_info": "0x00\n"}, None),
            ({"life_time": "garbage\n"}, None),
            ({}, None),
        ],
    )
    def test_wear_of_emmc(self, sys, files, wear):
        """The worst estimate counts; undefined ones do not."""
        plant(sys, {f"block/mmcblk0/device/{name}": text for name, text in files.items()})
        assert WearProbe(sys=sys).read()["disk_wear_percent"] == wear


Sensor = namedtuple("Sensor", "label current high critical")  # noqa: PYI024  # as psutil has it


class TestTemperature:
    def test_monitors_and_zones_together(self, sys):
        """The hottest, the coldest and the CPU's own are told, whoever measures them."""
        plant(
            sys,
            {
                "class/thermal/thermal_zone0/type": "soc-thermal\n",
                "class/thermal/thermal_zone0/temp": "61200\n",
                "class/thermal/thermal_zone1/type": "board\n",
                "class/thermal/thermal_zone1/temp": "-28500\n",
            },
        )
        monitors = {"nvme": [Sensor("", 70.0, None, None)], "k10temp": [Sensor("", 55, 90, 95)]}
        assert TemperatureProbe(sys=sys, monitors=lambda: monitors).read() == {
            "temperature_max_c": 70.0,
            "temperature_min_c": -28.5,
            "temperature_cpu_c": 61.2,
        }

    def test_broken_sensors_are_left_out(self, sys):
        """A sensor that is off, unreadable or says the impossible is not believed."""
        plant(
            sys,
            {
                "class/thermal/thermal_zone0/type": "cpu-thermal\n",
                "class/thermal/thermal_zone0/temp": "-274000\n",
                "class/thermal/thermal_zone1/type": "cpu-thermal\n",
                "class/thermal/thermal_zone1/temp": "\n",
                "class/thermal/thermal_zone2/type": "off\n",
            },
        )
        values = TemperatureProbe(sys=sys, monitors=dict).read()
        assert set(values.values()) == {None}


ROUTES_V4 = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
DEV = (
    "Inter-| Receive | Transmit\n"
    " face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop\n"
)


def route_v4(name: str, destination: str, flags: str, metric: int) -> str:
    mask = "00000000" if destination == "00000000" else "00FFFFFF"
    return f"{name}\t{destination}\t010200C0\t{flags}\t0\t0\t{metric}\t{mask}\t0\t0\t0\n"


def route_v6(name: str, metric: int, flags: str = "00000003", prefix: str = "00") -> str:
    zeros = "0" * 32
    return f"{zeros} {prefix} {zeros} 00 {zeros} {metric:08x} 00000000 00000000 {flags} {name}\n"


def dev(name: str, received: int, sent: int) -> str:
    return f"{name}: {received} 1 2 3 0 0 0 0 {sent} 1 4 5 0 0 0 0\n"


class TestNetwork:
    @pytest.mark.parametrize(
        ("v4", "v6", "name"),
        [
            ([("eth0", "00000000", "0003", 100), ("wwan0", "00000000", "0003", 700)], [], "eth0"),
            ([("eth0", "00000000", "0003", 900), ("wwan0", "00000000", "0003", 700)], [], "wwan0"),
            ([("eth0", "000200C0", "0001", 0), ("ppp0", "00000000", "0001", 0)], [], "ppp0"),
            ([("eth0", "00000000", "0203", 0)], [], None),
            ([("eth0", "000200C0", "0001", 0)], [("wwan0", 1024)], "wwan0"),
            ([], [("eth1", 512), ("eth0", 100)], "eth0"),
            ([], [("lo", 4096), ("eth0", 100, "00000201"), ("eth0", 100, "00000001", "40")], None),
            ([], [], None),
        ],
    )
    def test_interface_of_the_default_route(self, proc, v4, v6, name):
        """The lowest metric wins, IPv4 before IPv6; routes that reject lead nowhere."""
        plant(
            proc,
            {
                "net/route": ROUTES_V4 + "".join(route_v4(*route) for route in v4),
                "net/ipv6_route": "".join(route_v6(*route) for route in v6),
            },
        )
        assert default_interface(proc) == name

    def test_hardware_counts_and_what_runs_over_it_does_not(self, proc, sys):
        """A tunnel's bytes are also its carrier's; a dial-up line has no other carrier."""
        lines = [dev("lo", 1, 1), dev("eth0", 100, 10), dev("wg0", 90, 9), dev("ppp0", 1000, 70)]
        plant(proc, {"net/dev": DEV + "".join(lines)})
        plant(
            sys,
            {
                "class/net/lo/type": "772\n",
                "class/net/eth0/device/vendor": "0x8086\n",
                "class/net/wg0/type": "65534\n",
                "class/net/ppp0/type": "512\n",
            },
        )
        assert NetworkProbe(proc=proc, sys=sys).read() == {
            "network_interface": None,
            "network_received_bytes": 1100,
            "network_sent_bytes": 80,
            "network_errors": 12,
            "network_dropped": 16,
        }

    def test_a_container_counts_its_virtual_cable(self, proc, sys):
        """Where there is no hardware, everything but the loopback counts."""
        plant(proc, {"net/dev": DEV + dev("lo", 5, 5) + dev("eth9", 100, 10)})
        values = NetworkProbe(proc=proc, sys=sys).read()
        assert values["network_received_bytes"] == 100


class TestAgent:
    def test_the_agent_looks_at_itself(self):
        """Memory, CPU and open files of this very process."""
        probe = ProcessProbe()
        before = probe.read()["agent_open_files"]
        with Path("/dev/null").open("rb"):
            values = probe.read()
        assert values["agent_open_files"] == before + 1
        assert values["agent_rss_bytes"] > 10 * 1024 * 1024
        assert values["agent_cpu_percent"] >= 0

    async def test_loop_lag_is_the_worst_since_it_was_asked_for(self):
        """A loop that is held up for 0.4 s is 400 ms late, once."""
        delays = iter([0.0, 0.4, 0.1])

        class LateClock(ManualClock):
            async def sleep(self, seconds: float) -> None:
                self._now += seconds + next(delays)

        lag = LoopLag(LateClock())
        with pytest.raises(RuntimeError, match="StopIteration"):
            await lag.run()
        assert lag.take_worst_ms() == 400.0
        assert lag.take_worst_ms() == 0.0

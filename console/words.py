"""What the screen says, in English and in Chinese."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class Words:
    """One language."""

    kiosk: str
    state: str
    seen: str
    alarm: str
    memory: str
    disk: str
    outbox: str
    cameras: str
    alarms: str
    events: str
    receipts: str
    nothing: str
    no_kiosks: str
    more: str
    lost_messages: str
    states: Mapping[str, str]
    severities: Mapping[str, str]
    statuses: Mapping[str, str]


ENGLISH = Words(
    kiosk="Kiosk",
    state="State",
    seen="Seen",
    alarm="Worst alarm",
    memory="Mem",
    disk="Disk",
    outbox="Outbox",
    cameras="Cams",
    alarms="Alarms",
    events="Newest events",
    receipts="Commands",
    nothing="none",
    no_kiosks="no kiosk has been heard of yet",
    more="and {} more, less urgent",
    lost_messages="messages lost",
    states=MappingProxyType({}),
    severities=MappingProxyType({}),
    statuses=MappingProxyType({}),
)

CHINESE = Words(
    kiosk="岗亭",
    state="状态",
    seen="最近",
    alarm="最高告警",
    memory="内存",
    disk="磁盘",
    outbox="待发",
    cameras="摄像头",
    alarms="告警",
    events="最新事件",
    receipts="指令回执",
    nothing="无",
    no_kiosks="尚未收到任何岗亭的消息",
    more="另有 {} 个,情况较轻",
    lost_messages="条消息丢失",
    states=MappingProxyType(
        {"online": "在线", "stopping": "停止中", "offline": "离线", "unknown": "未知"}
    ),
    severities=MappingProxyType(
        {"critical": "紧急", "major": "重要", "minor": "次要", "warning": "提示"}
    ),
    statuses=MappingProxyType(
        {
            "accepted": "已接收",
            "running": "执行中",
            "succeeded": "成功",
            "failed": "失败",
            "cancelled": "已取消",
            "rejected": "已拒绝",
            "expired": "已过期",
        }
    ),
)

LANGUAGES: Mapping[Literal["en", "zh"], Words] = MappingProxyType({"en": ENGLISH, "zh": CHINESE})

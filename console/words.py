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
    step: str
    said: str
    waiting: str
    sent: str
    action: str
    arguments: str
    reason: str
    ticket: str
    valid: str
    signed_by: str
    nobody: str
    unchecked: str
    sign_question: str
    send_question: str
    version: str
    since: str
    failed: str
    settings: str
    same: str
    key_id: str
    name: str
    role: str
    fingerprint: str
    thumbprint: str
    replaces: str
    known_keys: str
    other_keys: str
    always: str
    until: str
    serial: str
    revoked: str
    run_out: str
    outcomes: Mapping[str, str]
    roles: Mapping[str, str]
    config_states: Mapping[str, str]
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
    step="Step",
    said="Says",
    waiting="waiting",
    sent="sent",
    action="Action",
    arguments="Arguments",
    reason="Reason",
    ticket="Ticket",
    valid="Valid",
    signed_by="Signed by",
    nobody="nobody",
    unchecked="not checked here",
    sign_question="Sign this with the key of {}?",
    send_question="Send {} to {} kiosks?",
    version="Version",
    since="In force since",
    failed="Went back",
    settings="Settings",
    same="no difference",
    key_id="Key id",
    name="Name",
    role="Role",
    fingerprint="Fingerprint",
    thumbprint="Thumbprint",
    replaces="Replaces",
    known_keys="the keys in --operators",
    other_keys="keys other than those in --operators",
    always="always",
    until="until {}",
    serial="Serial",
    revoked="revoked",
    run_out="expired",
    outcomes=MappingProxyType({}),
    roles=MappingProxyType({}),
    config_states=MappingProxyType({}),
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
    step="步骤",
    said="说明",
    waiting="排队中",
    sent="已发送",
    action="操作",
    arguments="参数",
    reason="原因",
    ticket="工单",
    valid="有效期",
    signed_by="签名人",
    nobody="无人",
    unchecked="此处未验签",
    sign_question="用 {} 的密钥签名吗?",
    send_question="向 {1} 个岗亭发送 {0} 吗?",
    version="版本",
    since="生效时间",
    failed="已回退",
    settings="配置",
    same="无差异",
    key_id="密钥编号",
    name="姓名",
    role="角色",
    fingerprint="指纹",
    thumbprint="密钥指纹",
    replaces="替换",
    known_keys="--operators 中的密钥",
    other_keys="不是 --operators 中的密钥",
    always="长期有效",
    until="至 {}",
    serial="序列号",
    revoked="已吊销",
    run_out="已过期",
    outcomes=MappingProxyType(
        {
            "succeeded": "成功",
            "failed": "失败",
            "rejected": "已拒绝",
            "expired": "已过期",
            "no_answer": "无应答",
            "no_broker": "未连上服务器",
        }
    ),
    roles=MappingProxyType(
        {
            "viewer": "查看员",
            "operator": "操作员",
            "supervisor": "主管",
            "maintainer": "维护员",
            "kiosk": "岗亭",
            "service": "服务程序",
            "bridge": "网桥",
            "server": "服务器",
        }
    ),
    config_states=MappingProxyType({"confirmed": "已确认", "trying": "试运行"}),
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

"""One complete message of every type of the contract, with every optional field filled."""

from datetime import UTC, datetime

from contract import Data, audit, business, config, events, gap, health, plates, receipt, state

TIME = datetime(2026, 11, 1, 7, 59, 30, 250_000, tzinfo=UTC)
ID = "01890a5d-ac96-774b-bcce-b302099a8057"
HASH = "a" * 64
_SESSION = {"session_id": ID, "business": "violation.pay", "mode": "self_service"}
_PICTURE = {
    "camera": "front",
    "phase": "end",
    "duration_s": 12.5,
    "luma_mean": 3.25,
    "luma_std": 1.5,
    "sharpness": 4.0,
    "sharpness_usual": 120.0,
    "still_s": 0.5,
    "scene_match": -0.25,
}
_ALARM = {"alarm_id": ID, "code": "disk_full", "severity": "major", "subject": "state"}
_CAMERA = health.CameraHealth(
    name="front",
    state="online",
    frames_per_s=25.0,
    decode_errors=1,
    dropped_frames=2,
    restarts=3,
    frame_age_s=0.04,
    width_px=1920,
    height_px=1080,
    rss_bytes=90_000_000,
    conditions=("blurred",),
    plates=health.PlateHealth(
        state="failed",
        text="no model",
        looks=100,
        look_ms=40.5,
        read=5,
        unreadable=1,
        suppressed=2,
        hits=1,
        dropped=0,
        restarts=3,
        rss_bytes=120_000_000,
    ),
)
_NUMBERS = {
    name: 7
    for name, field in health.Health.model_fields.items()
    if field.annotation in {int, float, int | None, float | None}
}
_TEXTS = {
    "changed": ("cpu_percent",),
    "disk_read_only": False,
    "network_interface": "wwan0",
    "modem_access": "lte",
}

SAMPLES: tuple[Data, ...] = (
    state.State(
        state="online",
        session=7,
        last_sequence=1234,
        agent_version="0.1.0",
        started=TIME,
        config_version=3,
        capabilities=("ping",),
        services=(state.Service(name="inspection", available=False, reason="no printer"),),
    ),
    state.ServiceChanged(service=state.Service(name="inspection", available=True)),
    state.AgentStarted(agent_version="0.1.0", clean=False, safe_mode=True),
    state.KeysChanged(fingerprint=HASH, added=("li",), removed=("wang",), source="command"),
    config.ConfigReport(
        version=3,
        hash=HASH,
        state="confirmed",
        since=TIME,
        settings={"log": {"level": "info"}},
        failed_version=4,
        last_error="the broker was not reached within 120 s",
    ),
    config.ConfigChanged(
        version=4,
        hash=HASH,
        outcome="rolled_back",
        text="the broker was not reached within 120 s",
        changed=("link",),
        signers=("li",),
    ),
    business.SessionBegin(**_SESSION),
    business.SessionEnd(**_SESSION, begun=TIME, duration_s=30.0, reason="ended"),
    business.ServiceLocked(text="closed", until=TIME, command_id=ID),
    business.ServiceUnlocked(reason="command", command_id=ID),
    business.DoorLocked(until=TIME, command_id=ID),
    business.DoorUnlocked(reason="alarm", alarm="smoke", command_id=ID),
    audit.AuditHead(chain=ID, number=7, hash=HASH, document="{}", kid="kiosk-1", x="A" * 43),
    business.MaintenanceBegin(text="paper", until=TIME, by="li"),
    business.MaintenanceEnd(begun=TIME, duration_s=60.0, reason="ended"),
    health.Health(
        cause="change",
        **_NUMBERS,
        **_TEXTS,
        cameras=(_CAMERA,),
        alarms=(health.ActiveAlarm(**_ALARM, raised=TIME, text="4% free"),),
    ),
    gap.Gap(
        message_class="telemetry",
        count=5,
        first_sequence=10,
        last_sequence=20,
        reason="full",
        from_time=TIME,
        to_time=TIME,
    ),
    receipt.Receipt(
        command_id=ID,
        claimed_id=ID,
        action="ping",
        status="rejected",
        code="expired",
        text="the command expired 5 s ago",
        signers=("operator-1",),
        percent=12.5,
        challenge="abcdefghijklmnopqrstuv",
        result={"nested": [1, 2.5, None, "x", {"deep": True}]},
    ),
    events.CameraOnline(camera="front", width_px=1920, height_px=1080, outage_s=9.5),
    events.CameraLost(camera="front", reason="hung", text="no frame for 5 s"),
    events.CameraBlack(**_PICTURE),
    events.CameraFrozen(**_PICTURE),
    events.CameraBlurred(**_PICTURE),
    events.CameraCovered(**_PICTURE),
    events.CameraMoved(**_PICTURE),
    events.MotionBegin(camera="front", area_percent=4.5),
    events.MotionEnd(camera="front", begun=TIME, duration_s=3.5, area_max_percent=60.0),
    events.PresenceBegin(camera="front", face_px=120, faces=1),
    events.PresenceEnd(camera="front", begun=TIME, duration_s=30.0, faces_max=2),
    plates.PlateRead(
        camera="front",
        begin=TIME,
        end=TIME,
        duration_s=7.5,
        purpose="parking offences",
        readable=True,
        pseudonym="0123456789abcdef0123456789abcdef",
        pseudonym_key_id="0123abcd",
        text="蒙BK2345",
        partial="蒙BK23?5",
        kind="civil",
        class_code="02",
        well_formed=True,
        doubts=("rows",),
        colour="blue",
        colour_confidence=0.99,
        rows=1,
        confidences=(0.9, 0.99, 0.99, 0.99, 0.99, 0.95, 0.99),
        min_confidence=0.9,
        alternatives=(
            plates.DoubtfulCharacter(
                position=0, alternatives=(plates.Alternative(text="豫", confidence=0.05),)
            ),
        ),
        width_px=140,
        views=6,
        detector="plates-1",
        reader="characters-1",
    ),
    plates.PlateHit(
        camera="front",
        watch_list="stolen",
        purpose="stolen vehicles of the province",
        code="stolen",
        text="蒙BK2345",
        match="near",
        read="蒙BK234?",
        min_confidence=0.5,
        views=3,
        begin=TIME,
        expires=TIME,
    ),
    events.AlarmRaised(**_ALARM, text="4% free", value=4.0, threshold=5.0),
    events.AlarmCleared(**_ALARM, raised=TIME, duration_s=60.0, value=12.0),
)

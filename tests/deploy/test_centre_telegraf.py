"""The shipped telegraf.conf between the shipped Mosquitto and the shipped database, both real."""

import re
import time
from datetime import timedelta

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from contract import state
from tests.support import samples, telegraf
from tests.support.centre_database import CONFIG, Centre, Kiosk, Said, centre_database
from tests.support.deployed_broker import DEPLOY, Authorities, DeployedBroker
from tests.support.postgres import SqlError

RETAINED = sum(data.RETAIN for data in samples.SAMPLES)


@pytest.fixture(scope="module")
def database():
    with centre_database() as database:
        yield database


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    return Authorities(tmp_path_factory.mktemp("authorities"))


@pytest.fixture(scope="module")
def holders(authorities):
    """Who has a certificate: three kiosks, and Telegraf as a service."""
    kiosks = {name: authorities.certify(name) for name in ("a-1", "b-1", "baotou-017")}
    return kiosks | {"telegraf": authorities.certify("telegraf", "service")}


@pytest.fixture
def broker(tmp_path, authorities, holders):
    """The shipped configuration of Mosquitto, with the rights that the shipped CA writes."""
    with DeployedBroker(tmp_path, authorities) as broker:
        yield broker


@pytest.fixture
def settings(broker, holders):
    """The shipped file, with the addresses of this test."""
    own = holders["telegraf"]
    text = CONFIG.replace("broker.example:8884", f"127.0.0.1:{broker.ports.people}")
    text = text.replace("/etc/telegraf/kiosk/broker-roots.pem", str(own.ca))
    text = text.replace("/etc/telegraf/kiosk/centre.crt", str(own.certificate))
    text = text.replace("/etc/telegraf/kiosk/centre.key", str(own.key))
    return telegraf.read(text)


@pytest.fixture
def output(settings, database):
    Centre(database).clear()
    return telegraf.Output(settings["outputs"]["postgresql"][0], database)


@pytest.fixture
def publish(broker, holders):
    """The kiosks' end of the broker: each says its own."""
    lines = {}

    def publish(*said):
        for item in said:
            name = item.topic.split("/")[2]
            if name not in lines:
                client = lines[name] = paho.Client(
                    CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5
                )
                own = holders[name]
                client.tls_set(str(own.ca), str(own.certificate), str(own.key))
                client.connect("127.0.0.1", broker.ports.kiosks)
                client.loop_start()
            retain = item.topic.endswith(("/up/state", "/up/config"))
            sent = lines[name].publish(item.topic, item.payload, qos=1, retain=retain)
            sent.wait_for_publish(10)

    yield publish
    for client in lines.values():
        client.disconnect()
        client.loop_stop()


@pytest.fixture
def stream(settings):
    """Makes consumers of the first input; a second Telegraf has a name of its own."""
    made = []

    def make(name="centre-1"):
        consumer = telegraf.Consumer(settings["inputs"]["mqtt_consumer"][0] | {"client_id": name})
        made.append(consumer)
        consumer.connect()
        return consumer

    yield make
    for consumer in made:
        consumer.close()


def store(output, consumer, count):
    """Move so many messages from the broker to the database, as Telegraf does."""
    batch = consumer.receive(count)
    output.write(metric for _, metric in batch)
    consumer.written(message for message, _ in batch)
    return [message for message, _ in batch]


def test_all_that_kiosks_say_is_filed(output, database, publish, stream):
    """Every type of the contract; pictures do not come along."""
    consumer = stream()
    said = [Kiosk(name).say(data) for name in ("a-1", "b-1") for data in samples.SAMPLES]
    publish(Said("kiosk/v1/a-1/up/media/x", b"\xff\xd8", ""))
    publish(*said)
    got = store(output, consumer, len(said))
    assert {message.topic for message in got} == {item.topic for item in said}
    assert consumer.receive(1, wait_s=0.1) == []
    assert database.rows("select * from centre.refused") == []
    assert database.value("select count(*) from centre.arrival") == len(said)
    assert database.value("select count(*) from centre.fleet") == 2


def test_two_share_the_work(output, database, publish, stream):
    """Each message goes to one of them; the retained ones to both, and are filed once."""
    one, other = stream("centre-1"), stream("centre-2")
    kiosk = Kiosk()
    said = [kiosk.say(data) for data in samples.SAMPLES]
    publish(*said)
    deadline = time.monotonic() + 10
    while one.waiting + other.waiting < len(said) + RETAINED and time.monotonic() < deadline:
        time.sleep(0.01)
    got = [len(store(output, consumer, consumer.waiting)) for consumer in (one, other)]
    assert sum(got) == len(said) + RETAINED
    assert min(got) > RETAINED
    assert database.value("select count(*) from centre.arrival") == len(said)
    row = database.row("select duplicates, doubled from centre.kiosk")
    assert row == {"duplicates": RETAINED, "doubled": 0}


def test_what_is_not_written_comes_again(output, database, publish, stream):
    """The broker keeps what comes while Telegraf is away, and what died in its memory."""
    stream().close()
    kiosk = Kiosk()
    said = [kiosk.say(data) for data in samples.SAMPLES]
    publish(*said)
    dying = stream()
    assert len(dying.receive(len(said))) == len(said)
    dying.close()
    living = stream()
    assert len(store(output, living, len(said))) == len(said)
    living.close()
    assert stream().receive(1, wait_s=0.2) == []
    assert database.value("select count(*) from centre.arrival") == len(said)


def test_while_the_database_is_away_nothing_is_forgotten(output, database, publish, stream):
    """What cannot be written is not acknowledged; Telegraf keeps it and tries again."""
    consumer = stream()
    said = [Kiosk().say(data) for data in samples.SAMPLES[1:3]]
    publish(*said)
    batch = consumer.receive(2)
    database.server.stop()
    with pytest.raises(SqlError):
        output.write(metric for _, metric in batch)
    database.server.start()
    output.write(metric for _, metric in batch)
    consumer.written(message for message, _ in batch)
    assert database.value("select count(*) from centre.arrival") == 2


def test_what_the_broker_retains_is_read_on_each_connection(settings, output, database, publish):
    """A kiosk that has long been online is known to a centre that is new."""
    kiosk = Kiosk()
    births = [
        kiosk.say(
            state.State(state="online", session=session, last_sequence=0),
            samples.TIME + timedelta(hours=session),
        )
        for session in (1, 2)
    ]
    publish(*births)
    for _ in range(2):
        consumer = telegraf.Consumer(settings["inputs"]["mqtt_consumer"][1])
        consumer.connect()
        assert len(store(output, consumer, 1)) == 1
        consumer.close()
    row = database.row("select state, session, duplicates from centre.kiosk")
    assert row == {"state": "online", "session": 2, "duplicates": 1}


def test_each_kind_of_message_is_subscribed_to():
    topics = telegraf.read(CONFIG)["inputs"]["mqtt_consumer"][0]["topics"]
    for model in map(type, samples.SAMPLES):
        # A shared subscription gets no retained message.
        wanted = [topic.removeprefix("$share/centre/") for topic in topics]
        if model.RETAIN:
            wanted = [topic for topic in topics if not topic.startswith("$share/")]
        assert any(paho.topic_matches_sub(topic, f"kiosk/v1/k/{model.SUFFIX}") for topic in wanted)


def test_a_batch_is_full_before_the_broker_waits():
    """Mosquitto hands out so many messages, and no more before some are acknowledged."""
    settings = telegraf.read(CONFIG)
    shipped = (DEPLOY / "mosquitto/mosquitto.conf").read_text(encoding="utf-8")
    (window,) = re.findall(r"^max_inflight_messages (\d+)$", shipped, re.MULTILINE)
    assert int(window) >= 2 * settings["agent"]["metric_batch_size"]
    held = sum(each["max_undelivered_messages"] for each in settings["inputs"]["mqtt_consumer"])
    assert settings["agent"]["metric_buffer_limit"] >= held

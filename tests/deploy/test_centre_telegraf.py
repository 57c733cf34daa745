"""The shipped telegraf.conf between a real Mosquitto and a real PostgreSQL."""

import time
from datetime import timedelta

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from contract import state
from tests.support import samples, telegraf
from tests.support.brokers import Mosquitto, make_certificates
from tests.support.centre_database import CONFIG, Centre, Kiosk, centre_database

RETAINED = sum(data.RETAIN for data in samples.SAMPLES)


@pytest.fixture(scope="module")
def database():
    with centre_database() as database:
        yield database


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def broker(tmp_path, certificates):
    with Mosquitto(tmp_path, tls=certificates, client_certificate=True) as broker:
        yield broker


@pytest.fixture
def settings(broker, certificates):
    """The shipped file, with the addresses of this test."""
    text = CONFIG.replace("broker.example:8884", f"127.0.0.1:{broker.port}")
    text = text.replace("/etc/telegraf/kiosk/broker-roots.pem", str(certificates.ca))
    text = text.replace("/etc/telegraf/kiosk/centre.crt", str(certificates.client))
    text = text.replace("/etc/telegraf/kiosk/centre.key", str(certificates.client_key))
    return telegraf.read(text)


@pytest.fixture
def output(settings, database):
    Centre(database).clear()
    return telegraf.Output(settings["outputs"]["postgresql"][0], database)


@pytest.fixture
def line(broker, certificates):
    """The kiosks' end of the broker."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.tls_set(str(certificates.ca), str(certificates.client), str(certificates.client_key))
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    yield client
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


def publish(line, said):
    for item in said:
        retain = item.topic.endswith(("/up/state", "/up/config"))
        line.publish(item.topic, item.payload, qos=1, retain=retain).wait_for_publish(10)


def store(output, consumer, count):
    """Move so many messages from the broker to the database, as Telegraf does."""
    batch = consumer.receive(count)
    output.write(metric for _, metric in batch)
    consumer.written(message for message, _ in batch)
    return [message for message, _ in batch]


def test_all_that_kiosks_say_is_filed(output, database, line, stream):
    """Every type of the contract; pictures and what is sent to kiosks do not come along."""
    consumer = stream()
    said = [Kiosk(name).say(data) for name in ("a-1", "b-1") for data in samples.SAMPLES]
    line.publish("kiosk/v1/a-1/up/media/x", b"\xff\xd8", qos=1).wait_for_publish(10)
    line.publish("kiosk/v1/a-1/down/command", b"{}", qos=1).wait_for_publish(10)
    publish(line, said)
    got = store(output, consumer, len(said))
    assert {message.topic for message in got} == {item.topic for item in said}
    assert consumer.receive(1, wait_s=0.1) == []
    assert database.rows("select * from centre.refused") == []
    assert database.value("select count(*) from centre.arrival") == len(said)
    assert database.value("select count(*) from centre.fleet") == 2


def test_two_share_the_work(output, database, line, stream):
    """Each message goes to one of them; the retained ones to both, and are filed once."""
    one, other = stream("centre-1"), stream("centre-2")
    kiosk = Kiosk()
    said = [kiosk.say(data) for data in samples.SAMPLES]
    publish(line, said)
    deadline = time.monotonic() + 10
    while one.waiting + other.waiting < len(said) + RETAINED and time.monotonic() < deadline:
        time.sleep(0.01)
    got = [len(store(output, consumer, consumer.waiting)) for consumer in (one, other)]
    assert sum(got) == len(said) + RETAINED
    assert min(got) > RETAINED
    assert database.value("select count(*) from centre.arrival") == len(said)
    row = database.row("select duplicates, doubled from centre.kiosk")
    assert row == {"duplicates": RETAINED, "doubled": 0}


def test_what_is_not_written_comes_again(output, database, line, stream):
    """The broker keeps what comes while Telegraf is away, and what died in its memory."""
    stream().close()
    kiosk = Kiosk()
    said = [kiosk.say(data) for data in samples.SAMPLES]
    publish(line, said)
    dying = stream()
    assert len(dying.receive(len(said))) == len(said)
    dying.close()
    living = stream()
    assert len(store(output, living, len(said))) == len(said)
    living.close()
    assert stream().receive(1, wait_s=0.2) == []
    assert database.value("select count(*) from centre.arrival") == len(said)


def test_what_the_broker_retains_is_read_on_each_connection(settings, output, database, line):
    """A kiosk that has long been online is known to a centre that is new."""
    kiosk = Kiosk()
    births = [
        kiosk.say(
            state.State(state="online", session=session, last_sequence=0),
            samples.TIME + timedelta(hours=session),
        )
        for session in (1, 2)
    ]
    publish(line, births)
    for _ in range(2):
        consumer = telegraf.Consumer(settings["inputs"]["mqtt_consumer"][1])
        consumer.connect()
        assert len(store(output, consumer, 1)) == 1
        consumer.close()
    row = database.row("select state, session, duplicates from centre.kiosk")
    assert row == {"state": "online", "session": 2, "duplicates": 1}

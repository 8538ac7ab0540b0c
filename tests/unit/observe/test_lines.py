import errno
import io
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from mailsuite.observe import EVENTS, EventLog, JSONLog, TextLog, make_observer, open_output
from mailsuite.observe.output import FOLLOW_SECONDS, LogFile

EVENT = "tls.certificate.refused"


def _log(observer_class):
    stream = io.StringIO()
    observer = observer_class(stream)
    return EventLog(Logger(observer=observer, namespace="test")), stream


def test_a_json_line_holds_time_level_event_ids_fields_and_text():
    log, stream = _log(JSONLog)
    log.bind(session="s1", peer="192.0.2.1").emit(EVENT, file="cert.pem", reason="broken")
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "error",
        "event": EVENT,
        "text": "certificate cert.pem cannot be used: broken; nothing changes until that is repaired",
        "session": "s1",
        "peer": "192.0.2.1",
        "file": "cert.pem",
        "reason": "broken",
    }


def test_a_text_line_shows_the_ids():
    log, stream = _log(TextLog)
    log.bind(session="s1").emit(EVENT, file="cert.pem", reason="broken")
    assert f" error    {EVENT} [session=s1] certificate cert.pem" in stream.getvalue()


HOSTILE = st.text() | st.sampled_from(["{reason}", "{file.__class__}", "{0}", "{{", "}", "a\r\nb", "\x1b[2J", "\u202e"])


def _check_hostile(observer_class, text):
    log, stream = _log(observer_class)
    log.bind(peer=text).emit(EVENT, file="f", reason=text)
    written = stream.getvalue()
    assert written.endswith("\n")
    assert len(written.splitlines()) == 1
    assert not set(written[:-1]) & {"\r", "\n", "\x1b", "\u202e", "\u2028", "\u2029", "\x85"}
    assert "<class" not in written


@settings(deadline=None, max_examples=60)
@given(text=HOSTILE)
def test_a_peers_text_cannot_break_a_json_line_or_be_a_format(text):
    _check_hostile(JSONLog, text)


@settings(deadline=None, max_examples=60)
@given(text=HOSTILE)
def test_a_peers_text_cannot_break_a_text_line_or_be_a_format(text):
    _check_hostile(TextLog, text)


def test_json_gives_a_peers_text_back_as_it_was():
    log, stream = _log(JSONLog)
    log.emit(EVENT, file="f", reason="{file}\r\n\u2028\u202e\x00")
    assert json.loads(stream.getvalue())["reason"] == "{file}\r\n\u2028\u202e\x00"


def test_fields_cannot_take_the_place_of_what_every_line_has():
    log, stream = _log(JSONLog)
    log.bind(time="never", text="mine").emit(EVENT, file="f", reason="r")
    line = json.loads(stream.getvalue())
    assert line["time"] != "never"
    assert line["text"] != "mine"


def test_octets_and_unknown_objects_become_text():
    class Broken:
        def __str__(self):
            raise ValueError

    log, stream = _log(JSONLog)
    log.emit(EVENT, file=b"\xff\x00", reason=Broken(), other={"a": {1}})
    line = json.loads(stream.getvalue())
    assert line["file"] == "\\xff\x00"
    assert line["reason"] == "<Broken>"
    assert line["other"] == {"a": [1]}


@pytest.mark.parametrize("observer_class", [JSONLog, TextLog])
def test_a_traceback_shows_no_local_variables(observer_class):
    def fail():
        password = bytes.fromhex("736563726574").decode()
        raise ValueError(len(password))

    log, stream = _log(observer_class)
    try:
        fail()
    except ValueError:
        log.failure("background.work.failed", Failure(captureVars=True), what="test")
    assert "ValueError" in stream.getvalue()
    assert "secret" not in stream.getvalue()


@pytest.mark.parametrize("observer_class", [JSONLog, TextLog])
def test_a_traceback_cannot_forge_a_line(observer_class):
    log, stream = _log(observer_class)
    log.failure("background.work.failed", ValueError("x\n2026-01-01 info smtp.session.opened"), what="test")
    assert not any(line.startswith("2026-01-01 ") for line in stream.getvalue().splitlines())


def test_what_twisted_says_is_kept_as_text():
    stream = io.StringIO()
    Logger(observer=JSONLog(stream), namespace="other").info("hello {name}", name="you")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["text"]) == ("twisted", "hello you")


def test_events_below_the_level_are_left_out():
    stream = io.StringIO()
    logger = Logger(observer=make_observer(stream, "json", "warn"), namespace="test")
    logger.emit(LogLevel.info, "no")
    logger.emit(LogLevel.warn, "yes")
    assert [json.loads(line)["text"] for line in stream.getvalue().splitlines()] == ["yes"]


def test_an_event_without_a_level_is_not_lost():
    stream = io.StringIO()
    make_observer(stream, "text", "critical")({"log_format": "old {what}", "what": "code"})
    assert stream.getvalue().endswith(" old code\n")


def test_a_log_file_is_private(tmp_path):
    path = tmp_path / "mailsuite.log"
    open_output(str(path)).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_log_file_is_followed_soon_after_it_was_moved(tmp_path):
    path = tmp_path / "mailsuite.log"
    clock = Clock()
    output = LogFile(str(path), clock.seconds)
    output.write("one\n")
    os.rename(path, tmp_path / "mailsuite.log.1")
    clock.advance(FOLLOW_SECONDS)
    output.write("two\n")
    output.close()
    assert (path.read_text(), (tmp_path / "mailsuite.log.1").read_text()) == ("two\n", "one\n")


def test_an_event_that_is_not_in_the_catalogue_cannot_be_emitted():
    log, _ = _log(JSONLog)
    with pytest.raises(KeyError):
        log.emit("no.such.event")


def test_every_event_renders_with_its_fields():
    for name, event in EVENTS.items():
        ids = ("session", "peer", "account", "queue_id")
        assert event.format.format(**dict.fromkeys((*event.fields, *ids), "x")), name


def test_what_twisted_says_of_itself_is_for_debugging():
    def lines(level):
        stream = io.StringIO()
        observer = make_observer(stream, "text", level)
        observer({"log_level": LogLevel.info, "log_format": "SMTPFactory starting on 25", "log_time": 0.0})
        observer({"log_level": LogLevel.critical, "log_format": "went wrong", "log_time": 0.0})
        return len(stream.getvalue().splitlines())

    assert lines("info") == 1
    assert lines("debug") == 2


@pytest.mark.parametrize("observer_class", [TextLog, JSONLog])
def test_what_the_machine_lacks_is_told_in_one_line(observer_class):
    stream = io.StringIO()
    log = EventLog(Logger(observer=observer_class(stream)))
    log.failure("store.job.failed", OSError(errno.ENOSPC, "No space left on device"), account=7)
    (line,) = stream.getvalue().splitlines()
    assert "account 7: the store failed: No space left on device" in line
    assert "Traceback" not in line

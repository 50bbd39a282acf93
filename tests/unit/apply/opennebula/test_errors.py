"""Every recorded refusal becomes an error that a person understands."""

from __future__ import annotations

import pytest

from b2ct.apply.opennebula.errors import (
    OneAllocateError,
    OneAuthenticationError,
    OneAuthorizationError,
    OneError,
    OneFaultError,
    OneInternalError,
    OneLockedError,
    OneNoSuchObjectError,
    OneParameterError,
    OneStateError,
    OneTimeoutError,
    Trouble,
    explain,
    make_error,
)
from b2ct.errors import ExitCode
from tests.rigs.opennebula.recordings import VERSIONS, Recording, load_recording, recording_names

CLASSES = {
    0x100: OneAuthenticationError,
    0x200: OneAuthorizationError,
    0x400: OneNoSuchObjectError,
    0x800: OneStateError,
    0x1000: OneParameterError,
    0x2000: OneInternalError,
    0x4000: OneAllocateError,
    0x8000: OneLockedError,
    -501: OneFaultError,
    -503: OneFaultError,
    -506: OneFaultError,
    0x77: OneError,
}

TROUBLES = {
    "cluster.allocate__error-duplicate-name": Trouble.NAME_TAKEN,
    "datastore.allocate__error-duplicate-name": Trouble.NAME_TAKEN,
    "datastore.allocate__error-missing-TM_MAD": Trouble.MISSING_ATTRIBUTE,
    "group.allocate__error-duplicate-name": Trouble.NAME_TAKEN,
    "host.allocate__error-duplicate-name": Trouble.NAME_TAKEN,
    "host.allocate__error-no-such-cluster": Trouble.NO_SUCH_OBJECT,
    "host.delete__error-has-vms": Trouble.IN_USE,
    "host.delete__error-no-such-host": Trouble.NO_SUCH_OBJECT,
    "host.info__error-no-such-host": Trouble.NO_SUCH_OBJECT,
    "image.allocate__error-bad-type": Trouble.MISSING_ATTRIBUTE,
    "image.allocate__error-duplicate-name": Trouble.NAME_TAKEN,
    "image.allocate__error-http-connection-refused": Trouble.SOURCE_REFUSED,
    "image.allocate__error-http-server-refuses": Trouble.SOURCE_REFUSED,
    "image.allocate__error-image-quota-exceeded": Trouble.QUOTA,
    "image.allocate__error-malformed-template": Trouble.BAD_NAME,
    "image.allocate__error-name-too-long": Trouble.BAD_NAME,
    "image.allocate__error-name-with-colon-or-amp": Trouble.BAD_NAME,
    "image.allocate__error-no-name": Trouble.BAD_NAME,
    "image.allocate__error-no-path-no-size": Trouble.MISSING_ATTRIBUTE,
    "image.allocate__error-no-such-datastore": Trouble.NO_SUCH_OBJECT,
    "image.allocate__error-not-enough-space": Trouble.NO_SPACE,
    "image.allocate__error-path-missing": Trouble.SOURCE_MISSING,
    "image.allocate__error-system-datastore": Trouble.WRONG_DATASTORE,
    "image.delete__LOCKED": Trouble.LOCKED,
    "image.delete__error-in-use": Trouble.IN_USE,
    "image.info__error-no-such-image": Trouble.NO_SUCH_OBJECT,
    "system.version__error-bad-password": Trouble.PASSWORD,
    "template.allocate__error-cdata-end": Trouble.TEMPLATE_SYNTAX,
    "template.allocate__error-duplicate-name": Trouble.NAME_TAKEN,
    "template.allocate__error-malformed": Trouble.TEMPLATE_SYNTAX,
    "template.allocate__error-malformed-xml": Trouble.TEMPLATE_SYNTAX,
    "template.allocate__error-no-name": Trouble.BAD_NAME,
    "template.allocate__error-unquoted-space": Trouble.TEMPLATE_SYNTAX,
    "template.delete__error-locked": Trouble.LOCKED,
    "template.delete__error-no-such-template": Trouble.NO_SUCH_OBJECT,
    "template.info__error-no-such-template": Trouble.NO_SUCH_OBJECT,
    "template.info__error-not-authorized": Trouble.NOT_AUTHORIZED,
    "template.instantiate__error-no-such-image": Trouble.NO_SUCH_OBJECT,
    "template.instantiate__error-no-such-template": Trouble.NO_SUCH_OBJECT,
    "template.instantiate__error-restricted-attr": Trouble.RESTRICTED,
    "template.instantiate__error-vm-quota-exceeded": Trouble.QUOTA,
    "template.rename__error-duplicate-name": Trouble.NAME_TAKEN,
    "template.update__error-locked": Trouble.NOT_AUTHORIZED,
    "template.update__error-malformed": Trouble.TEMPLATE_SYNTAX,
    "templatepool.info__error-bad-password": Trouble.PASSWORD,
    "templatepool.info__error-empty-session": Trouble.PASSWORD,
    "templatepool.info__error-session-without-colon": Trouble.PASSWORD,
    "templatepool.info__error-unknown-user": Trouble.PASSWORD,
    "user.allocate__error-duplicate-name": Trouble.NAME_TAKEN,
    "user.allocate__error-empty-name": Trouble.BAD_NAME,
    "user.chown-style__error-not-authorized": Trouble.NOT_AUTHORIZED,
    "user.info__error-no-such-user": Trouble.NO_SUCH_OBJECT,
    "vm.action__error-poweroff-on-DONE": Trouble.WRONG_STATE,
    "vm.action__error-unknown-action": Trouble.CALL,
    "vm.action__error-wrong-state": Trouble.WRONG_STATE,
    "vm.deploy__error-no-such-host": Trouble.NO_SUCH_OBJECT,
    "vm.info__error-no-such-vm": Trouble.NO_SUCH_OBJECT,
    "vm.recover__error-on-DONE": Trouble.WRONG_STATE,
    "vmpool.info__error-search-filter-needs-mysql-or-newer": Trouble.SEARCH,
    "vn.add_ar__error-while-LOCK_CREATE": Trouble.LOCKED,
    "vn.allocate__error-duplicate-name": Trouble.NAME_TAKEN,
    "vn.allocate__error-malformed-template": Trouble.TEMPLATE_SYNTAX,
    "vn.allocate__error-missing-VN_MAD": Trouble.MISSING_ATTRIBUTE,
    "vn.delete__error-in-use": Trouble.IN_USE,
    "vn.info__error-no-such-network": Trouble.NO_SUCH_OBJECT,
    "xmlrpc__fault-missing-params": Trouble.CALL,
    "xmlrpc__fault-unknown-method": Trouble.CALL,
    "xmlrpc__fault-wrong-param-type": Trouble.CALL,
    "xmlrpc__not-xml": Trouble.CALL,
}


def refusal(recording: Recording) -> OneError:
    if recording.fault:
        return make_error(recording.method, *recording.fault)
    return make_error(recording.method, recording.answer[2], recording.answer[1], recording.answer[3])


@pytest.mark.parametrize("version", VERSIONS)
def test_every_recorded_refusal_is_understood(version: str) -> None:
    recordings = [load_recording(version, name) for name in recording_names(version)]
    refused = [recording for recording in recordings if recording.fault or not recording.answer[0]]
    troubles = {}
    for recording in refused:
        error = refusal(recording)
        troubles[recording.name] = error.trouble
        assert type(error) is CLASSES[error.server_code], recording.name
        assert error.exit_code is ExitCode.REMOTE
        assert "{" not in error.message, recording.name
        assert error.message.endswith("."), recording.name
    assert troubles == TROUBLES


@pytest.mark.parametrize("code", CLASSES)
def test_codes_give_classes(code: int) -> None:
    error = make_error("image.info", code, "[one.image.info] Something new happened", 7)
    assert type(error) is CLASSES[code]
    assert (error.method, error.server_code, error.object_id) == ("image.info", code, 7)
    assert error.server_message == "[one.image.info] Something new happened"
    assert error.message == "OpenNebula refused image.info: Something new happened."


def test_who_has_the_name_is_known() -> None:
    error = refusal(load_recording("7.4", "host.allocate__error-duplicate-name"))
    assert (error.taken_by, error.object_id) == (2, None)
    assert error.message == "OpenNebula refused host.allocate: the name is already taken by HOST 2."


def test_which_object_is_meant_is_known() -> None:
    assert refusal(load_recording("6.10", "image.info__error-no-such-image")).object_id == 999


@pytest.mark.parametrize("version", VERSIONS)
def test_reason_of_an_image_in_error_is_understood(version: str) -> None:
    reason = load_recording(version, "image.info__ERROR").tree.findtext("TEMPLATE/ERROR") or ""
    meaning = explain(reason)
    assert meaning.trouble is Trouble.FORBIDDEN_FOLDER
    assert meaning.sentence == "the datastore does not let images be copied from /usr/bin/env."
    assert "SAFE_DIRS" in (meaning.hint or "")


@pytest.mark.parametrize("version", VERSIONS)
def test_reason_of_a_network_in_error_is_understood(version: str) -> None:
    reason = load_recording(version, "vn.info__ERROR-bad-ip").tree.findtext("TEMPLATE/ERROR") or ""
    assert explain(reason).trouble is Trouble.ADDRESS


@pytest.mark.parametrize("text", ["", "{0}{name}", "[one.x.y] %s {}", "a\nb\x00c", "limit of"])
def test_messages_nobody_knows_are_passed_on(text: str) -> None:
    meaning = explain(text)
    assert meaning.trouble is Trouble.OTHER
    assert "\n" not in meaning.sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Invalid NAME, char '{' is not allowed", "the name is not allowed: char '{' is not allowed."),
        ("Parse error: {name}", "it cannot read the template text (parse error: {name})."),
    ],
)
def test_braces_in_messages_are_only_text(text: str, sentence: str) -> None:
    assert explain(text).sentence == sentence


def test_lost_answers_say_whether_the_call_may_have_worked() -> None:
    lost = OneTimeoutError("image.allocate", "http://one:2633/RPC2", "no answer in 30 s", sent=True)
    assert lost.message == "http://one:2633/RPC2: image.allocate: no answer in 30 s; it may have taken effect"
    assert OneTimeoutError("image.allocate", "http://one:2633/RPC2", "no", sent=False).message.endswith(": no")
    read = OneTimeoutError("imagepool.info", "http://one:2633/RPC2", "no answer in 30 s", sent=True)
    assert read.message.endswith("no answer in 30 s")


def test_a_full_disk_is_understood_and_the_time_is_left_out() -> None:
    stamp = "Sat Nov 21 14:56:03 2026 : "
    meaning = explain(f"{stamp}Error copying image in the datastore: cp: error writing: No space left on device")
    assert meaning.trouble is Trouble.NO_SPACE
    assert explain(f"{stamp}Something else").sentence == "Something else."

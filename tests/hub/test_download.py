"""Faults of the network: each is survived, or ends in words that say what to do."""

import hashlib
import json
import os
import shutil
import time
from collections import namedtuple
from pathlib import Path

import pytest

from signet.errors import BadRequest, DigestMismatch, HubError, OfflineMiss, SignetError
from signet.hub import Patience, Remote, in_cache, obtain
from signet.hub.download import CHUNK_BYTES
from signet.progress import Progress

from .server import Hub

NAME = "timm/a.b"
REMOTE = Remote(repository=NAME)
WEIGHTS = os.urandom(600_000)
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture(autouse=True)
def filled(hub: Hub) -> None:
    hub.files[NAME, "model.safetensors"] = WEIGHTS
    hub.plain["a.pth"] = WEIGHTS


def plain(hub: Hub, file: str = "a.pth") -> Remote:
    return Remote(address=f"{hub.endpoint}/plain/{file}")


def ranges(hub: Hub) -> list[str]:
    return [one.headers.get("range", "") for one in hub.bytes_requests()]


def test_cut_connections_go_on_where_they_were(hub: Hub, quick: Patience) -> None:
    moments: list[Progress] = []
    hub.faults.cut_after = [200_000, 200_000, None]
    files = obtain(NAME, REMOTE, patience=quick, on_progress=moments.append)
    assert (files.digest, files.weights.read_bytes()) == (DIGEST, WEIGHTS)
    first, second, third = ranges(hub)
    assert first == ""
    assert second == f"bytes={CHUNK_BYTES}-"
    assert third == f"bytes={2 * CHUNK_BYTES}-"
    tag = hashlib.md5(WEIGHTS, usedforsecurity=False).hexdigest()
    assert [one.headers.get("if-range") for one in hub.bytes_requests()] == [None, f'"{tag}"', f'"{tag}"']
    assert [moment.done for moment in moments] == sorted(moment.done for moment in moments)


def test_every_new_byte_gives_patience_back(hub: Hub, quick: Patience) -> None:
    hub.faults.cut_after = [CHUNK_BYTES + 1] * quick.attempts
    assert obtain(NAME, REMOTE, patience=quick).digest == DIGEST
    assert len(ranges(hub)) == quick.attempts + 1


def test_short_answer_without_a_length_is_not_whole(hub: Hub, quick: Patience) -> None:
    hub.faults.no_length = True
    hub.faults.cut_after = [300_000]
    assert obtain(NAME, REMOTE, patience=quick).digest == DIGEST
    assert len(ranges(hub)) == 2


def test_empty_answer_is_no_file(hub: Hub, quick: Patience) -> None:
    hub.plain["a.pth"] = b""
    with pytest.raises(HubError, match="ended after 0 of unknown bytes"):
        obtain("a", plain(hub), patience=quick)


@pytest.mark.parametrize("fault", ["ignore_range", "no_tag", "no_length"])
def test_plain_address_cut(hub: Hub, quick: Patience, fault: str) -> None:
    setattr(hub.faults, fault, True)
    hub.faults.cut_after = [300_000] if fault != "no_length" else []
    assert obtain("a", plain(hub), patience=quick).digest == DIGEST
    # Without a tag nobody could tell that two halves fit: the whole file once more.
    assert all(stated == "" for stated in ranges(hub)) or fault == "ignore_range"


def test_server_that_sends_another_range_is_not_believed(hub: Hub, quick: Patience) -> None:
    hub.faults.cut_after = [300_000]
    hub.faults.shift_range = 7
    assert obtain(NAME, REMOTE, patience=quick).digest == DIGEST
    assert [bool(stated) for stated in ranges(hub)] == [False, True, False]


@pytest.mark.parametrize("knows_if_range", [True, False])
def test_file_that_changes_between_two_attempts(
    hub: Hub, cache: Path, quick: Patience, knows_if_range: bool
) -> None:
    once = Patience(attempts=1, first_wait=0.01)
    hub.faults.cut_after = [300_000]
    with pytest.raises(HubError, match="Try again: what has come is kept"):
        obtain("a", plain(hub), patience=once)
    assert (cache / "models" / "a" / "a.pth.part").stat().st_size == 2 * CHUNK_BYTES
    newer = WEIGHTS[::-1]
    hub.plain["a.pth"] = newer
    hub.faults.ignore_if_range = not knows_if_range
    files = obtain("a", plain(hub), patience=quick)
    assert files.weights.read_bytes() == newer


def test_hub_file_that_changes_between_two_attempts(hub: Hub, quick: Patience) -> None:
    hub.faults.cut_after = [300_000]
    with pytest.raises(HubError):
        obtain(NAME, REMOTE, patience=Patience(attempts=1))
    hub.files[NAME, "model.safetensors"] = WEIGHTS[::-1]
    assert obtain(NAME, REMOTE, patience=quick).weights.read_bytes() == WEIGHTS[::-1]
    assert ranges(hub) == ["", ""]


def test_bad_first_half_from_earlier_is_fetched_again(hub: Hub, cache: Path, quick: Patience) -> None:
    hub.faults.cut_after = [300_000]
    with pytest.raises(HubError):
        obtain(NAME, REMOTE, patience=Patience(attempts=1))
    part = cache / "models" / NAME / "model.safetensors.part"
    part.write_bytes(bytes(part.stat().st_size))  # a power cut can leave zeros
    assert obtain(NAME, REMOTE, patience=quick).digest == DIGEST
    assert [bool(stated) for stated in ranges(hub)] == [False, True, False]


def test_part_that_is_whole_is_only_measured(hub: Hub, cache: Path, quick: Patience) -> None:
    hub.faults.cut_after = [300_000]
    with pytest.raises(HubError):
        obtain(NAME, REMOTE, patience=Patience(attempts=1))
    (cache / "models" / NAME / "model.safetensors.part").write_bytes(WEIGHTS)
    assert obtain(NAME, REMOTE, patience=quick).digest == DIGEST
    assert len(ranges(hub)) == 1


def test_wrong_bytes_are_never_kept(hub: Hub, cache: Path, quick: Patience) -> None:
    hub.faults.corrupt = [True]
    with pytest.raises(DigestMismatch, match=rf"but {DIGEST} was promised. It is deleted. Try again"):
        obtain(NAME, REMOTE, patience=quick)
    assert sorted(entry.name for entry in (cache / "models" / NAME).iterdir()) == ["weights.lock"]
    assert in_cache(NAME) is None
    assert obtain(NAME, REMOTE, patience=quick).digest == DIGEST


def test_wrong_promise_is_refused(hub: Hub, quick: Patience) -> None:
    hub.faults.promise = "ab" * 32
    with pytest.raises(DigestMismatch, match=f"has the sha256 {DIGEST}, but abab"):
        obtain(NAME, REMOTE, patience=quick)


def test_pinned_address(hub: Hub, quick: Patience) -> None:
    wrong = Remote(address=f"{hub.endpoint}/plain/a.pth", sha256="0" * 64)
    with pytest.raises(DigestMismatch, match=f"but {'0' * 64} was promised"):
        obtain("a", wrong, patience=quick)
    right = Remote(address=f"{hub.endpoint}/plain/a.pth", sha256=DIGEST)
    assert obtain("a", right, patience=quick).trust == "pinned"


def test_truncated_for_good_gives_up_and_keeps_what_came(hub: Hub, cache: Path, quick: Patience) -> None:
    hub.faults.cut_after = [50_000] * 40
    with pytest.raises(HubError, match=f"{NAME}@main/model.safetensors could not be downloaded"):
        obtain(NAME, REMOTE, patience=quick)
    assert len(ranges(hub)) == quick.attempts


def test_busy_server_is_asked_again(hub: Hub, quick: Patience) -> None:
    hub.faults.head_answers = [(503, {}), (429, {"Retry-After": "0"})]
    hub.faults.answers = [(500, {}), (503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})]
    assert obtain(NAME, REMOTE, patience=quick).digest == DIGEST


def test_retry_after_is_respected(hub: Hub) -> None:
    hub.faults.answers = [(429, {"Retry-After": "1"})]
    started = time.monotonic()
    obtain(NAME, REMOTE, patience=Patience(first_wait=0.01, longest_wait=5))
    assert time.monotonic() - started >= 1


def test_server_that_asks_for_hours_is_not_waited_for(hub: Hub, quick: Patience) -> None:
    hub.faults.answers = [(429, {"Retry-After": "7200"})]
    with pytest.raises(HubError, match=r"too many requests \(HTTP 429\). Try again in 7200 seconds"):
        obtain(NAME, REMOTE, patience=quick)
    hub.faults.head_answers = [(503, {})] * 9
    with pytest.raises(HubError, match=r"the server fails \(HTTP 503\). Try again later"):
        obtain(NAME, REMOTE, patience=quick)


def test_silent_server(hub: Hub) -> None:
    hub.faults.silent_after = 16_384
    with pytest.raises(HubError, match=r"kept silent for too long. Try again"):
        obtain(NAME, REMOTE, patience=Patience(attempts=1, silence=0.3))


@pytest.mark.parametrize(
    ("repository", "revision", "message"),
    [
        ("timm/gone", "main", r"timm/gone@main/model.safetensors is refused \(HTTP 401\): it does not exist"),
        (NAME, "v9", r"the repository has no such revision \(HTTP 404\)"),
        ("timm/gated", "main", r"is gated \(HTTP 403\).*terms accepted.*HF_TOKEN"),
    ],
)
def test_refusals_of_the_hub(hub: Hub, quick: Patience, repository: str, revision: str, message: str) -> None:
    hub.files["timm/gated", "model.safetensors"] = b"x"
    hub.gated.add("timm/gated")
    with pytest.raises(HubError, match=message):
        obtain("x", Remote(repository=repository, revision=revision), patience=quick)


def test_repository_without_weights(hub: Hub, quick: Patience) -> None:
    hub.files["timm/empty", "README.md"] = b"x"
    with pytest.raises(HubError, match=r"none of the weight files model.safetensors, pytorch_model.bin"):
        obtain("x", Remote(repository="timm/empty"), patience=quick)


def test_address_that_is_gone_or_a_page(hub: Hub, quick: Patience) -> None:
    with pytest.raises(HubError, match=r"b\.pth does not exist there \(HTTP 404\). Check the name"):
        obtain("b", plain(hub, "b.pth"), patience=quick)
    hub.faults.web_page = True
    with pytest.raises(HubError, match="expected a file, got a web page"):
        obtain("a", plain(hub), patience=quick)


def test_answer_that_is_no_hub(hub: Hub, quick: Patience) -> None:
    hub.faults.no_commit = True
    with pytest.raises(HubError, match=r"does not come from a hub.*Check HF_ENDPOINT"):
        obtain(NAME, REMOTE, patience=quick)


def test_nobody_there(hub: Hub, monkeypatch: pytest.MonkeyPatch, quick: Patience) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"could not be downloaded:.*Check the connection, the proxy"):
        obtain(NAME, REMOTE, patience=quick)


def test_hub_switched_off_by_its_own_variable(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, quick: Patience
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OfflineMiss, match="HF_HUB_OFFLINE is set"):
        obtain(NAME, REMOTE, patience=quick)


@pytest.mark.parametrize("config", [b"[]", b"{", b"\xff", b"x" * 5_000_000])
def test_configuration_that_is_none(hub: Hub, quick: Patience, config: bytes) -> None:
    hub.files[NAME, "config.json"] = config
    with pytest.raises(HubError, match=r"configuration"):
        obtain(NAME, REMOTE, patience=quick)
    assert ranges(hub) == []


def test_full_disk_is_seen_before(hub: Hub, quick: Patience, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(HubError, match=r"needs 1 MB more.*Make room, or set SIGNET_CACHE"):
        obtain(NAME, REMOTE, patience=quick)


def test_another_process_that_holds_the_name(hub: Hub, cache: Path) -> None:
    from signet.storage import locked

    stages: list[str] = []
    with (
        locked(cache / "models" / NAME / "weights"),
        pytest.raises(SignetError, match="in use by another process"),
    ):
        obtain(
            NAME,
            REMOTE,
            on_progress=lambda moment: stages.append(moment.stage),
            patience=Patience(lock=0.1),
        )
    assert stages == [f"waiting for another process that downloads {NAME}"]


def test_interrupted_by_the_caller_goes_on_later(hub: Hub, quick: Patience) -> None:
    def interrupt(moment: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        obtain(NAME, REMOTE, patience=quick, on_progress=interrupt)
    assert obtain(NAME, REMOTE, patience=quick).digest == DIGEST
    assert ranges(hub)[1].startswith("bytes=")


def test_note_of_the_part_is_plain_json(hub: Hub, cache: Path) -> None:
    hub.faults.cut_after = [300_000]
    with pytest.raises(HubError):
        obtain(NAME, REMOTE, patience=Patience(attempts=1))
    note = json.loads((cache / "models" / NAME / "model.safetensors.part.json").read_text())
    assert note["identity"] == DIGEST


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"repository": "a/b", "address": "https://x.org/a.pth"},
        {"address": "http://example.org/a.pth"},
        {"address": "file:///etc/passwd"},
        {"address": "https://example.org/"},
        {"address": "https://example.org/%2e%2e"},
        {"address": "https://example.org/a%5cb"},
        {"repository": "a/b", "files": ()},
        {"repository": "a/b", "files": ("../x",)},
        {"repository": "a/b", "sha256": "ABC"},
    ],
)
def test_remote_that_cannot_be(fields: dict[str, object]) -> None:
    with pytest.raises(BadRequest):
        Remote(**fields)  # type: ignore[arg-type]


def test_repository_that_cannot_be(hub: Hub, quick: Patience) -> None:
    with pytest.raises(BadRequest, match="cannot be a repository of the hub"):
        obtain("x", Remote(repository="a/b/c?d"), patience=quick)


@pytest.mark.parametrize(
    ("file", "digits"),
    [
        ("resnet50-0676ba61.pth", "0676ba61"),
        ("a-0123456789.pth", "0123456789"),
        ("model-20211031.pth", ""),
        ("IN1K-vit.h.14-300e.pth.tar", ""),
        ("mobilenet_v2_qnnpack_37f702c5.pth", ""),
    ],
)
def test_digits_in_a_file_name(file: str, digits: str) -> None:
    assert Remote(address=f"https://example.org/models/{file}?x=1").address_digits == digits

"""A reader written from `docs/format.md` alone, without any of our code, restores what our code stored."""

from __future__ import annotations

import base64
import hmac
import io
import json
import struct
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.deletion_archive import archive_notes, archived_notes
from storage.format.blob import PART_BYTES
from storage.format.deletion_table import ArchivedNote, How
from storage.format.manifest import new_snapshot_id, snapshot_time
from storage.format.secret import typed_secret
from storage.opening import create_repository
from storage.repository import Repository
from storage.stores.address import open_store
from tests.storage.small_backup import PROFILE, Source, back_up, source_of


class Reader:
    """Reads a repository in a local folder. The numbers are the sections of the page."""

    def __init__(self, root: Path, passphrase: str | None = None) -> None:
        self.root = root
        configuration = json.loads((root / "recollect.json").read_bytes())  # 1
        assert set(configuration) == {"format", "id", "created_at", "sealing"}
        assert configuration["format"] == 1
        self.identity = bytes.fromhex(configuration["id"])
        self.id_key: bytes | None = None
        if passphrase is None:
            assert configuration["sealing"] == "open"
            self.key = blake3(self.identity, derive_key_context="recollect 2026-11-22 open seal").digest()  # 2.1
        else:
            assert configuration["sealing"] == "aes-256-gcm"
            self.unlock(passphrase)
        self.places: dict[bytes, dict[str, Any]] = {}
        for path in (root / "index").iterdir():  # 5
            table = pq.read_table(io.BytesIO(self.unseal(b"index", f"index/{path.name}".encode(), path.read_bytes())))
            self.places |= {row["id"]: row for row in table.to_pylist()}

    def unlock(self, passphrase: str) -> None:  # 2.3
        slots = [json.loads(path.read_bytes()) for path in (self.root / "keys").iterdir()]
        (slot,) = (slot for slot in slots if slot["kind"] == "passphrase" and slot["repository"] == self.identity.hex())
        kdf = slot["kdf"]
        key = Argon2id(
            salt=base64.b64decode(kdf["salt"]),
            length=32,
            iterations=kdf["time"],
            lanes=kdf["lanes"],
            memory_cost=kdf["memory_kib"],
        ).derive(passphrase.encode())
        named = ("format", "id", "repository", "kind", "label", "created_at", "generation")
        cost = (kdf[name] for name in ("name", "salt", "time", "memory_kib", "lanes"))
        told = [str(value).encode() for value in (*(slot[name] for name in named), *cost)]
        bound = b"recollect 2026-11-22 key slot" + b"".join(struct.pack("<H", len(text)) + text for text in told)
        wrapped = base64.b64decode(slot["keyring"])
        keyring = AESGCM(key).decrypt(wrapped[:12], wrapped[12:], bound)
        self.id_key, (count,) = keyring[:32], struct.unpack("<H", keyring[32:34])  # 2.4
        rows = struct.iter_unpack("<H32s", keyring[34:])
        info = b"recollect 2026-11-22 object keys"
        self.keys = {number: HKDF(SHA256(), 32, salt=self.identity, info=info).derive(key) for number, key in rows}
        assert len(self.keys) == count

    def unseal(self, purpose: bytes, name: bytes, stored: bytes) -> bytes:  # 2
        bound = struct.pack("<H", len(purpose)) + purpose + struct.pack("<H", len(name)) + name
        if self.id_key is None:  # 2.1
            scheme, plain, tag = stored[0], stored[1:-16], stored[-16:]
            assert scheme == 0
            assert blake3(bound + plain, key=self.key).digest(16) == tag
            return plain
        scheme, generation = struct.unpack("<BH", stored[:3])  # 2.2
        assert scheme == 1
        cipher = AESGCM(hmac.digest(self.keys[generation], bound, "sha256"))
        return cipher.decrypt(stored[3:15], stored[15:], self.identity + b"\1\0" + stored[:3] + bound)

    @staticmethod
    def unpack(packed: bytes, length: int) -> bytes:  # 3.2
        method, body = packed[0], packed[1:]
        assert method in (0, 1)
        if method == 1:
            assert zstandard.frame_content_size(body) == length
            body = zstandard.ZstdDecompressor().decompress(body)
        assert len(body) == length
        return body

    def blob(self, blob: bytes) -> bytes:  # 3
        place = self.places[blob]
        pack = place["pack"].hex()
        stored = (self.root / "packs" / pack[:2] / f"{pack}.pack").read_bytes()[place["offset"] :][: place["stored"]]
        plain = self.unpack(self.unseal(b"blob", bytes([place["kind"]]) + blob, stored), place["length"])
        assert blake3(plain, key=self.id_key).digest() == blob
        return plain

    def pack_table(self, path: Path) -> list[tuple[int, bytes, int, int]]:  # 4
        content, pack = path.read_bytes(), bytes.fromhex(path.stem)
        assert content[:32] == b"RECOLLECT PACK 1" + pack
        assert content[-12:] == b"RECOLLECTEND"
        (length,) = struct.unpack("<I", content[-16:-12])
        table = self.unseal(b"pack table", pack, content[-16 - length : -16])
        count, padding = struct.unpack("<II", table[:8])
        rows = list(struct.iter_unpack("<B32sII", self.unpack(table[8:], 41 * count)))
        assert 32 + sum(stored for _, _, stored, _ in rows) + padding + length + 16 == len(content)
        return rows

    def manifest(self, path: Path) -> dict[str, Any]:  # 7
        name = "/".join(path.parts[-3:])
        packed = self.unseal(b"manifest", name.encode(), path.read_bytes())
        found: dict[str, Any] = json.loads(self.unpack(packed[4:], int.from_bytes(packed[:4], "little")))
        assert found["format"] == 1
        assert name == f"snapshots/{found['profile_key']}/{found['id']}"
        return found

    def node(self, blob: bytes, node_type: int, level: int) -> tuple[int, bytes]:  # 6
        content = self.blob(blob)
        magic, found_type, found_level, count = struct.unpack("<2sBBI", content[:8])
        assert (magic, found_type, found_level) == (b"RL", node_type, level)
        return count, content[8:]

    def pieces(self, root: bytes | None, levels: int) -> list[bytes]:  # 6.1
        ids = [root] if root else []
        for level in reversed(range(levels)):
            bodies = [self.node(blob, 1, level)[1] for blob in ids]
            ids = [body[at : at + 32] for body in bodies for at in range(0, len(body), 32)]
        return ids

    def folder(self, root: bytes | None, levels: int) -> dict[bytes, bytes]:  # 6.2
        files: dict[bytes, bytes] = {}
        if root is None:
            return files
        count, body = self.node(root, 2, levels - 1)
        for _ in range(count):
            (length,) = struct.unpack("<H", body[:2])
            name, body = body[2 : 2 + length], body[2 + length :]
            if levels > 1:
                files |= self.folder(body[:32], levels - 1)
                body = body[32:]
                continue
            size, _, depth, parts = struct.unpack("<QqBI", body[:21])
            content, body = body[21 : 21 + 32 * bool(parts)], body[21 + 32 * bool(parts) :]
            files[name] = b"".join(map(self.blob, self.pieces(content or None, depth)))
            assert len(files[name]) == size
        assert not body
        return files

    def deletions(self) -> dict[int, dict[str, Any]]:  # 8
        rows: list[dict[str, Any]] = []
        for path in (self.root / "deletions").glob("*/*"):
            name = "/".join(path.parts[-3:])
            rows += pq.read_table(io.BytesIO(self.unseal(b"deletions", name.encode(), path.read_bytes()))).to_pylist()
        logged: dict[int, dict[str, Any]] = {}
        compared: dict[int, dict[str, Any]] = {}
        for row in sorted(rows, key=lambda row: row["gone_in"]):
            note_id, held = row["note_id"], row["last_snapshot"]
            assert (row["how"] == "log") == (held is None)
            if held is None:
                logged[note_id] = row
            elif note_id not in compared or compared[note_id]["last_snapshot"] < held:
                compared[note_id] = row
        notes = logged | compared
        for note_id in logged.keys() & compared.keys():
            log, other = logged[note_id], compared[note_id]
            if log["gone_in"] > other["last_snapshot"]:
                same = "\t".join(log["fields"]).rstrip("\t") == "\t".join(other["fields"]).rstrip("\t")
                notes[note_id] = other | {"how": "log", "gone_in": min(log["gone_in"], other["gone_in"])}
                notes[note_id]["fields"] = other["fields"] if same else log["fields"]
        return notes


PASSPHRASE = "correct horse battery staple"
SEALINGS = pytest.mark.parametrize("passphrase", [None, PASSPHRASE], ids=["open", "aes-256-gcm"])


def made(root: Path, passphrase: str | None) -> Repository:
    return create_repository(open_store(str(root)), None, typed_secret(passphrase) if passphrase else None)


@SEALINGS
def test_a_reader_written_from_the_page_alone_restores_a_snapshot(tmp_path: Path, passphrase: str | None) -> None:
    whole = source_of(3, pages=150, media=300)
    source = Source(
        whole.collection, {**whole.media, b"empty.png": b"", b"film.mp4": bytes(PART_BYTES) + b"the second part"}
    )
    back_up(made(tmp_path, passphrase), source, run=5)
    reader = Reader(tmp_path, passphrase)
    (path,) = (tmp_path / "snapshots").glob("*/*")
    manifest = reader.manifest(path)
    (file,), (folder,) = manifest["files"], manifest["folders"]
    tree = file["pieces"]
    pieces = reader.pieces(bytes.fromhex(tree["root"]), tree["levels"])
    assert (len(pieces), file["piece_bytes"], file["size"]) == (tree["count"], 4096, len(source.collection))
    assert b"".join(map(reader.blob, pieces)) == source.collection
    entries = folder["entries"]
    assert reader.folder(bytes.fromhex(entries["root"]), entries["levels"]) == source.media
    assert manifest["facts"] == {"notes": 5, "proven": True}


@SEALINGS
def test_the_packs_say_all_that_the_index_says(tmp_path: Path, passphrase: str | None) -> None:
    back_up(made(tmp_path, passphrase), source_of(1), run=0)
    reader = Reader(tmp_path, passphrase)
    told = [row for path in (tmp_path / "packs").glob("*/*.pack") for row in reader.pack_table(path)]
    assert {(row["kind"], row["id"], row["stored"], row["length"]) for row in reader.places.values()} == set(told)


@SEALINGS
def test_a_reader_written_from_the_page_alone_knows_each_deleted_note(tmp_path: Path, passphrase: str | None) -> None:
    repository = made(tmp_path, passphrase)
    back_up(repository, source_of(1), run=0)
    days = [new_snapshot_id(datetime(2026, 11, day, tzinfo=UTC), bytes(4)) for day in range(1, 6)]

    def row(note_id: int, held: int | None, gone: int, *texts: str) -> ArchivedNote:
        compared = held is not None
        return ArchivedNote(
            key=f"{note_id} {held} {gone} {texts}".encode(),
            note_id=note_id,
            guid="guid" if compared else None,
            note_type_id=7,
            note_type="Basic",
            field_names=("Front", "Back"),
            fields=texts,
            tags=("one", "two") if compared else None,
            deck="Deck::Sub" if compared else None,
            modified_s=1_700_000_000 if compared else None,
            how=How.LOG if held is None else How.DELETED,
            last_snapshot=None if held is None else days[held],
            gone_in=days[gone],
            seen_at=snapshot_time(days[gone]),
        )

    first = [
        row(1, None, 1, "a", "b"),
        row(2, 0, 1, "a", "b"),
        row(3, None, 1, "tab\tand", "rest"),
        row(4, 1, 2, "a", ""),
    ]
    later = [
        row(3, 0, 1, "tab", "and\trest"),
        row(2, 2, 3, "again", ""),
        row(4, None, 4, "newer", ""),
        row(1, 2, 3, "x", ""),
    ]
    for rows in (first, later):
        archive_notes(repository, PROFILE, rows, now=datetime(2026, 11, 6, tzinfo=UTC))
    told = {
        note.note_id: {
            **{field.name: getattr(note, field.name) for field in fields(note)},
            **{name: list(getattr(note, name) or ()) for name in ("field_names", "fields", "tags")},
        }
        for note in archived_notes(repository, PROFILE)
    }
    found = Reader(tmp_path, passphrase).deletions()
    assert {id_: note["fields"] for id_, note in found.items()} == {
        1: ["x", ""],
        2: ["again", ""],
        3: ["tab", "and\trest"],
        4: ["newer", ""],
    }
    for note_id, note in found.items():
        assert (note["guid"], note["tags"], note["deck"]) == ("guid", ["one", "two"], "Deck::Sub")
        for name in ("fields", "guid", "tags", "deck", "how", "last_snapshot", "gone_in", "note_type", "field_names"):
            assert note[name] == told[note_id][name], (note_id, name)

"""The flow *verify* on a real Prefect server."""

from __future__ import annotations

from tests.flows.on_prefect import Home


def test_a_verification_fails_with_a_sentence_on_damage_and_not_where_there_is_nothing_yet(
    home: Home,
) -> None:
    first_prune, first, _, whole, read, damaged, gone = home.run(
        """
import os, shutil
from flows.verify import verify
end(prune(return_state=True))
end(verify(return_state=True))
end(back_up_profile('Ada', return_state=True))
end(verify(return_state=True))
end(verify(read_percent=50, return_state=True))
for pack in Path(os.environ['RECOLLECT_REPO']).glob('packs/*/*.pack'):
    pack.unlink()
end(verify(return_state=True))
shutil.rmtree(os.environ['RECOLLECT_REPO'])
end(verify(return_state=True))
"""
    )
    for early in (first_prune, first):
        assert (early.state_type, early.state) == ("COMPLETED", "Skipped")
        assert "The first backup makes it" in early.message
    assert (whole.state_type, whole.state) == ("COMPLETED", "Completed")
    assert "All is there that 1 snapshot needs" in whole.message
    assert "read back" in read.message
    assert damaged.state_type == "FAILED"
    assert "1 of 1 snapshot can't be restored whole" in damaged.message
    assert "Traceback" not in damaged.message
    assert gone.state_type == "FAILED"

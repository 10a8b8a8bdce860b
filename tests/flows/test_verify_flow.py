"""The flow *verify* on a real Prefect server."""

from __future__ import annotations

from tests.flows.on_prefect import Home


def test_a_verification_is_a_run_that_fails_with_a_sentence_when_there_is_damage(home: Home) -> None:
    _, whole, read, damaged = home.run(
        """
import os
from flows.verify import verify
end(back_up_profile('Ada', return_state=True))
end(verify(return_state=True))
end(verify(read_percent=50, return_state=True))
for pack in Path(os.environ['RECOLLECT_REPO']).glob('packs/*/*.pack'):
    pack.unlink()
end(verify(return_state=True))
"""
    )
    assert (whole.state_type, whole.state) == ("COMPLETED", "Completed")
    assert "All is there that 1 snapshot needs" in whole.message
    assert "read back" in read.message
    assert damaged.state_type == "FAILED"
    assert "1 of 1 snapshot can't be restored whole" in damaged.message
    assert "Traceback" not in damaged.message

"""The endpoint that a run starts for a probation: nothing that was answered before makes a slow release fast."""

from __future__ import annotations

import pytest

from components.errors import RefusedError
from components.recipe import open_run
from components.scale.endpoint import read_endpoints, write_endpoint
from flows.probation import endpoint_up, own_endpoint
from tests.scale.scale_house import ScaleHouse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_slow_release_does_not_pass_the_second_time_because_its_answers_are_known(house: ScaleHouse) -> None:
    house.release("fake/chat?reply=Sono+la+vecchia.")
    before = house.promote()
    house.recorded(house.release("fake/chat?reply=Sono+la+lenta.&delay=0.5"), before, n=150)
    options = ("llm.cache=true", "scale.max_p95_seconds=1", "scale.questions=1", "scale.probation_questions=2")
    for _ in range(2):
        with pytest.raises(RefusedError, match="failed its probation: a 95th percentile of"):
            house.run(*options)
        assert house.in_service() == before
    assert not (house.workspace / "cache" / "responses.sqlite").exists()


def test_it_is_found_by_no_other_run_and_hides_none_that_is_up(house: ScaleHouse) -> None:
    house.promote()
    run, recipe = open_run(str(house.begin().folder))
    write_endpoint(house.workspace, url="http://127.0.0.1:9", recipe="up")  # of this process
    with own_endpoint(run, recipe) as own:
        assert own.follows() and [one.recipe for one in read_endpoints(house.workspace)] == ["up"]
        assert endpoint_up(run, recipe) is None  # nobody answers at the one that is told
    assert [one.recipe for one in read_endpoints(house.workspace)] == ["up"]

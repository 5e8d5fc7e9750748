"""One thing at a time, beside the runs."""

from __future__ import annotations

from napari_clearclip.gui.control.errand import Errand


def worked():
    yield
    return "done"


def test_it_is_busy_until_the_work_has_ended_and_free_when_that_is_told():
    ends, told, seen = [], [], []
    errand = Errand(lambda work, progress, finished: ends.append(finished), told.append)
    errand.start(worked(), lambda result: seen.append((result, errand.busy)))
    assert errand.busy
    assert told == [True]
    ends.pop()("done")
    assert seen == [("done", False)]
    assert told == [True, False]


def test_what_is_told_of_the_end_may_start_the_next():
    ends, seen = [], []
    errand = Errand(lambda work, progress, finished: ends.append(finished))
    errand.start(worked(), lambda _: errand.start(worked(), seen.append))
    ends.pop()("first")
    assert errand.busy
    ends.pop()("second")
    assert seen == ["second"]
    assert not errand.busy

"""What is kept of a device comes back as it was, in one encoding: it is compared and swapped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from idp.device.model import Answer, Approval, DeviceRequest, Waiting, load_device_request, load_waiting
from idp.model import Acr, Authentication

words = st.lists(st.text(max_size=20), max_size=4).map(tuple)
times = st.integers(0, 2**40)
approvals = st.builds(
    Approval,
    st.text(max_size=20),
    st.text(max_size=30),
    st.builds(Authentication, times, st.sampled_from(Acr), words),
    words,
)
requests = st.builds(
    DeviceRequest,
    st.text(max_size=40),
    words,
    words,
    st.text(max_size=40),
    st.text(max_size=40),
    times,
    times,
    st.sampled_from(Answer),
    st.none() | approvals,
)


@given(requests)
def test_a_request_comes_back_as_it_was(request: DeviceRequest) -> None:
    back = load_device_request(request.dump())
    assert back == request
    assert back.dump() == request.dump()


@given(st.builds(Waiting, st.text(max_size=40), st.text(max_size=60), times, times, times))
def test_what_waits_comes_back_as_it_was(waiting: Waiting) -> None:
    assert load_waiting(waiting.dump()) == waiting
    assert load_waiting(waiting.dump()).dump() == waiting.dump()

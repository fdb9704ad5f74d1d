from hypothesis import given
from hypothesis import strategies as st

from varanger.api.domain.token_bucket import TokenBucket

CAPACITIES = st.integers(1, 10**12)
FILLS_IN = st.sampled_from([60.0, 3600.0])
PAUSES = st.lists(st.floats(0, 5000, allow_nan=False), max_size=40)


@given(CAPACITIES, FILLS_IN, st.floats(0, 1e9), PAUSES)
def test_no_more_gets_through_than_one_capacity_and_what_the_time_brings(capacity, fills_in_s, begin, pauses):
    bucket = TokenBucket(capacity, fills_in_s, begin)
    now, taken = begin, 0
    for pause in pauses:
        now += pause
        if bucket.wait_s(now) == 0:
            bucket.take(1, now)
            taken += 1
    allowed = capacity + (now - begin) * capacity / fills_in_s
    assert taken <= allowed * (1 + 1e-6) + 1e-3


@given(CAPACITIES, FILLS_IN, st.floats(0, 1e9), st.lists(st.integers(0, 10**13), max_size=20))
def test_who_waits_as_long_as_he_is_told_is_let_in_and_no_second_is_too_many(capacity, fills_in_s, begin, amounts):
    bucket = TokenBucket(capacity, fills_in_s, begin)
    now = begin
    for amount in amounts:
        bucket.take(amount, now)
        told = bucket.wait_s(now)
        if told > 1:
            assert TokenBucket.wait_s(copy_of(bucket), now + told - 1) > 0
        now += told
        assert bucket.wait_s(now) == 0


def copy_of(bucket: TokenBucket) -> TokenBucket:
    other = TokenBucket(bucket.capacity, bucket.fills_in_s, bucket.filled_at)
    other.level = bucket.level
    return other


def test_a_full_bucket_gets_no_fuller():
    bucket = TokenBucket(3, 60, 0)
    assert bucket.wait_s(1e6) == 0
    bucket.take(3, 1e6)
    assert bucket.wait_s(1e6) == 20
    assert bucket.wait_s(1e6 + 19.5) == 1


def test_an_overdrawn_bucket_makes_its_owner_wait_for_all_of_it():
    bucket = TokenBucket(3600, 3600, 0)
    bucket.take(7200, 0)
    assert bucket.wait_s(0) == 3601
    assert bucket.wait_s(3601) == 0

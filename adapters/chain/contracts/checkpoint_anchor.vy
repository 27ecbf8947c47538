# pragma version 0.4.3
# pragma optimize gas
# pragma evm-version paris
"""
@title Checkpoint anchor: a witness of append-only logs
@notice Keeps, for each log, the size and SHA-256 root of its newest checkpoint, and takes a newer one only with the
        consistency proof of RFC 9162 section 2.1.4.2. Whoever holds the submitter's key can be late, but cannot make
        the log forget: a root that does not begin with the anchored one reverts.
@dev    There is no way to change the code, to move a head back, or to remove a log. The SM3 root, which no precompile
        can check, is bound to the same size by the event. The owner names submitters and can do nothing else.
"""

# 2^64 leaves give a path of 64 nodes, and one more where the old tree was a whole subtree.
MAX_PROOF: constant(uint256) = 65

struct Head:
    root: bytes32
    size: uint64
    # The submitter stands beside the size, in one storage slot: one read tells both.
    submitter: address

event SubmitterNamed:
    log_id: indexed(bytes32)
    submitter: indexed(address)

event Anchored:
    log_id: indexed(bytes32)
    size: indexed(uint64)
    root_sha256: bytes32
    root_sm3: bytes32

OWNER: public(immutable(address))
heads: public(HashMap[bytes32, Head])


@deploy
def __init__():
    OWNER = msg.sender


@external
def name_submitter(log_id: bytes32, submitter: address):
    """
    @notice Name the one account that may anchor a log, for a new log or after its key was lost.
    @param log_id SHA-256 of the log's origin
    """
    assert msg.sender == OWNER, "owner only"
    self.heads[log_id].submitter = submitter
    log SubmitterNamed(log_id=log_id, submitter=submitter)


@external
def anchor(log_id: bytes32, size: uint64, root_sha256: bytes32, root_sm3: bytes32, proof: DynArray[bytes32, MAX_PROOF]):
    """
    @notice Move a log's head to a larger tree that begins with the anchored one.
    @param proof consistency proof of the SHA-256 tree from the anchored size to `size`; empty for the first anchor
    """
    head: Head = self.heads[log_id]
    assert msg.sender == head.submitter, "submitter only"
    assert size > head.size, "not larger"
    if head.size == 0:
        assert len(proof) == 0, "first anchor"
    else:
        self._require_consistent(head.size, head.root, size, root_sha256, proof)
    self.heads[log_id].root = root_sha256
    self.heads[log_id].size = size
    log Anchored(log_id=log_id, size=size, root_sha256=root_sha256, root_sm3=root_sm3)


@internal
@pure
def _require_consistent(old_size: uint64, old_root: bytes32, new_size: uint64, new_root: bytes32, proof: DynArray[bytes32, MAX_PROOF]):
    assert len(proof) > 0, "proof empty"
    position: uint256 = convert(old_size - 1, uint256)
    last: uint256 = convert(new_size - 1, uint256)
    for _: uint256 in range(64):
        if position & 1 == 0:
            break
        position >>= 1
        last >>= 1
    # The root of a whole subtree is not sent, because it is known: then every node of the proof is still to come.
    old_result: bytes32 = old_root
    skip: bool = False
    if old_size & (old_size - 1) != 0:
        old_result = proof[0]
        skip = True
    new_result: bytes32 = old_result
    for sibling: bytes32 in proof:
        if skip:
            skip = False
            continue
        assert last != 0, "proof too long"
        if position & 1 == 1 or position == last:
            old_result = sha256(concat(b"\x01", sibling, old_result))
            new_result = sha256(concat(b"\x01", sibling, new_result))
            for _: uint256 in range(64):
                if position & 1 == 1 or position == 0:
                    break
                position >>= 1
                last >>= 1
        else:
            new_result = sha256(concat(b"\x01", new_result, sibling))
        position >>= 1
        last >>= 1
    assert last == 0, "proof too short"
    assert old_result == old_root, "old root"
    assert new_result == new_root, "new root"

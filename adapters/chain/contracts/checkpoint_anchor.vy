# pragma version 0.4.3
# pragma optimize gas
# pragma evm-version paris
"""
@title Checkpoint anchor: a witness of append-only logs
@notice Keeps, for each log, the size and SHA-256 root of its newest checkpoint, and takes a newer one only with the
        consistency proof of RFC 9162 section 2.1.4.2. Whoever holds the submitter's key can be late, but cannot make
        the log forget: a root that does not begin with the anchored one reverts.
@dev    There is no way to change the code, to move a head back, or to remove a log. The SM3 root, which no precompile
        can check, is bound to the same size by the event. The owner names submitters, hands ownership over in two
        steps, and can do nothing else.
"""

# 2^64 leaves give a path of 64 nodes, and one more where the old tree was no whole subtree.
MAX_PROOF: constant(uint256) = 65
SIZE_SHIFT: constant(uint256) = 160
BLOCK_SHIFT: constant(uint256) = 224
SUBMITTER_MASK: constant(uint256) = 2**160 - 1
SIZE_MASK: constant(uint256) = 2**64 - 1
BLOCK_MASK: constant(uint256) = 2**32 - 1

struct Head:
    root: bytes32
    # One storage slot: the submitter in the low 160 bits, the size in the next 64, the block of the last anchor above.
    # Vyper gives each member of a struct a slot of its own, so the packing is done by hand.
    packed: uint256

event OwnershipOffered:
    owner: indexed(address)
    offered_to: indexed(address)

event OwnershipTaken:
    previous: indexed(address)
    owner: indexed(address)

event SubmitterNamed:
    log_id: indexed(bytes32)
    submitter: indexed(address)

event Anchored:
    log_id: indexed(bytes32)
    size: indexed(uint64)
    root_sha256: bytes32
    root_sm3: bytes32

owner: public(address)
offered_to: public(address)
heads: HashMap[bytes32, Head]


@deploy
def __init__():
    self.owner = msg.sender
    log OwnershipTaken(previous=empty(address), owner=msg.sender)


@external
def offer_ownership(offered_to: address):
    """
    @notice First of two steps: nothing changes until the new owner takes it. A second offer replaces the first.
    """
    assert msg.sender == self.owner, "owner only"
    self.offered_to = offered_to
    log OwnershipOffered(owner=msg.sender, offered_to=offered_to)


@external
def take_ownership():
    """
    @notice Second step, by the account it was offered to: an owner nobody holds the key of cannot come about.
    """
    assert msg.sender == self.offered_to, "not offered"
    log OwnershipTaken(previous=self.owner, owner=msg.sender)
    self.owner = msg.sender
    self.offered_to = empty(address)


@external
def name_submitter(log_id: bytes32, submitter: address):
    """
    @notice Name the one account that may anchor a log, for a new log or after its key was lost. The head stays.
    @param log_id SHA-256 of the log's origin
    """
    assert msg.sender == self.owner, "owner only"
    kept: uint256 = (self.heads[log_id].packed >> SIZE_SHIFT) << SIZE_SHIFT
    self.heads[log_id].packed = kept | convert(submitter, uint256)
    log SubmitterNamed(log_id=log_id, submitter=submitter)


@external
@view
def head(log_id: bytes32) -> (bytes32, uint64, uint64, address):
    """
    @notice Return the log's root, size, the low 32 bits of the block it was anchored in, and its submitter.
    """
    packed: uint256 = self.heads[log_id].packed
    size: uint64 = convert((packed >> SIZE_SHIFT) & SIZE_MASK, uint64)
    number: uint64 = convert(packed >> BLOCK_SHIFT, uint64)
    return self.heads[log_id].root, size, number, convert(packed & SUBMITTER_MASK, address)


@external
def anchor(log_id: bytes32, size: uint64, root_sha256: bytes32, root_sm3: bytes32, proof: DynArray[bytes32, MAX_PROOF]):
    """
    @notice Move a log's head to a larger tree that begins with the anchored one.
    @param proof consistency proof of the SHA-256 tree from the anchored size to `size`; empty for the first anchor
    """
    packed: uint256 = self.heads[log_id].packed
    assert convert(msg.sender, uint256) == packed & SUBMITTER_MASK, "submitter only"
    old_size: uint256 = (packed >> SIZE_SHIFT) & SIZE_MASK
    new_size: uint256 = convert(size, uint256)
    assert new_size > old_size, "not larger"
    if old_size == 0:
        assert len(proof) == 0, "first anchor"
    else:
        old_root: bytes32 = self.heads[log_id].root
        count: uint256 = len(proof)
        assert count > 0, "proof empty"
        position: uint256 = unsafe_sub(old_size, 1)
        last: uint256 = unsafe_sub(new_size, 1)
        for _: uint256 in range(64):
            if position & 1 == 0:
                break
            position >>= 1
            last >>= 1
        # The root of a whole subtree is not sent, because it is known: then every node of the proof is still to come.
        old_result: bytes32 = old_root
        first: uint256 = 0
        if old_size & unsafe_sub(old_size, 1) != 0:
            old_result = proof[0]
            first = 1
        new_result: bytes32 = old_result
        for index: uint256 in range(first, count, bound=MAX_PROOF):
            assert last != 0, "proof too long"
            sibling: bytes32 = proof[index]
            if position & 1 == 1 or position == last:
                old_result = sha256(concat(0x01, sibling, old_result))
                new_result = sha256(concat(0x01, sibling, new_result))
                for _: uint256 in range(64):
                    if position & 1 == 1 or position == 0:
                        break
                    position >>= 1
                    last >>= 1
            else:
                new_result = sha256(concat(0x01, new_result, sibling))
            position >>= 1
            last >>= 1
        assert last == 0, "proof too short"
        assert old_result == old_root, "old root"
        assert new_result == root_sha256, "new root"
    self.heads[log_id].root = root_sha256
    self.heads[log_id].packed = (
        (packed & SUBMITTER_MASK) | (new_size << SIZE_SHIFT) | ((block.number & BLOCK_MASK) << BLOCK_SHIFT)
    )
    log Anchored(log_id=log_id, size=size, root_sha256=root_sha256, root_sm3=root_sm3)

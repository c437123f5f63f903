// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title SettlementTree
/// @notice Position-ordered keccak256 trees in which an epoch's postings, payouts and debits are committed.
/// @dev node = keccak256(left ‖ right); n leaves are padded with 32 zero bytes to a power of two; no leaves give the root
/// zero and one leaf is its own root. A leaf holds its index and is 56 or 100 bytes long before hashing, never 64, so it
/// cannot pass for a node. All fields are packed and big-endian. The same trees are built in `src/core/settlement.ts`.
library SettlementTree {
    /// @notice A debit leaf together with its path to the root, lowest sibling first.
    struct DebitLeaf {
        uint64 index;
        bytes32 payer;
        uint128 cumulative;
        bytes32[] path;
    }

    /// @notice The leaves shown do not determine the payer's debit under this root.
    error InvalidDebitProof();

    /// @notice One leg of the epoch: 100 bytes.
    /// @param amount Signed nano.
    /// @param cumulative The payee's lifetime nano after this posting.
    /// @param grandTotal The ledger's lifetime nano after this posting, in tree order.
    function postingLeaf(
        uint64 index,
        bytes32 payee,
        uint64 seq,
        uint32 leg,
        int128 amount,
        uint128 cumulative,
        uint128 grandTotal
    ) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(index, payee, seq, leg, amount, cumulative, grandTotal));
    }

    /// @notice What a payee has earned in its lifetime: 56 bytes.
    function payoutLeaf(uint64 index, bytes32 payee, uint128 cumulative) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(index, payee, cumulative));
    }

    /// @notice What a payer has spent in its lifetime: 56 bytes.
    function debitLeaf(uint64 index, bytes32 payer, uint128 cumulative) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(index, payer, cumulative));
    }

    /// @notice Whether `leaf` stands at `index` in the tree of `count` leaves under `root`.
    /// @dev The length of the path is exactly the depth: a shorter one would let an inner node pass for a leaf, a longer
    /// one the reverse, and an index at or above `count` would name padding.
    function verify(bytes32 root, uint64 count, uint64 index, bytes32 leaf, bytes32[] calldata path)
        internal
        pure
        returns (bool)
    {
        if (index >= count || path.length != depthOf(count)) return false;
        uint256 position = index;
        for (uint256 i; i < path.length; ++i) {
            leaf = position & 1 == 0 ? hashPair(leaf, path[i]) : hashPair(path[i], leaf);
            position >>= 1;
        }
        return leaf == root;
    }

    /// @notice ⌈log2(count)⌉, and 0 for an empty tree.
    function depthOf(uint64 count) internal pure returns (uint256) {
        return count < 2 ? 0 : Math.log2(count - 1) + 1;
    }

    /// @notice The payer's lifetime debit, in nano, under a debit tree that ascends strictly by payer.
    /// @dev Shown by the payer's own leaf, or, for a payer that the tree lacks, by its neighbours: the two adjacent leaves
    /// around it, the first leaf when it would stand before, the last when it would stand behind, none when the tree is empty.
    function debitOf(bytes32 root, uint64 count, bytes32 payer, DebitLeaf[] calldata leaves)
        internal
        pure
        returns (uint128)
    {
        for (uint256 i; i < leaves.length; ++i) {
            DebitLeaf calldata leaf = leaves[i];
            bytes32 hash = debitLeaf(leaf.index, leaf.payer, leaf.cumulative);
            require(verify(root, count, leaf.index, hash, leaf.path), InvalidDebitProof());
        }
        if (leaves.length == 1 && leaves[0].payer == payer) return leaves[0].cumulative;
        require(_isAbsent(count, payer, leaves), InvalidDebitProof());
        return 0;
    }

    function _isAbsent(uint64 count, bytes32 payer, DebitLeaf[] calldata leaves) private pure returns (bool) {
        if (leaves.length == 0) return count == 0;
        DebitLeaf calldata left = leaves[0];
        if (leaves.length == 1) {
            return left.index == 0 && payer < left.payer || left.index == count - 1 && left.payer < payer;
        }
        DebitLeaf calldata right = leaves[1];
        return leaves.length == 2 && uint256(left.index) + 1 == right.index && left.payer < payer && payer < right.payer;
    }

    function hashPair(bytes32 left, bytes32 right) internal pure returns (bytes32 node) {
        // Scratch space instead of fresh memory: a claim hashes twenty pairs.
        assembly ("memory-safe") {
            mstore(0x00, left)
            mstore(0x20, right)
            node := keccak256(0x00, 0x40)
        }
    }
}

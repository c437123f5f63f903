// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SettlementTree} from "../src/libraries/SettlementTree.sol";
import {Test} from "./support/Test.sol";
import {Trees} from "./support/Trees.sol";

/// @dev The library over calldata, as contracts use it.
contract TreeReader {
    function verify(bytes32 root, uint64 count, uint64 index, bytes32 leaf, bytes32[] calldata path)
        external
        pure
        returns (bool)
    {
        return SettlementTree.verify(root, count, index, leaf, path);
    }

    function debitOf(bytes32 root, uint64 count, bytes32 payer, SettlementTree.DebitLeaf[] calldata leaves)
        external
        pure
        returns (uint128)
    {
        return SettlementTree.debitOf(root, count, payer, leaves);
    }
}

contract SettlementTreeTest is Test {
    TreeReader private reader = new TreeReader();

    function testFuzz_everyLeafIsFoundAtItsOwnIndexOnly(uint8 size, uint256 place, uint256 elsewhere) public view {
        bytes32[] memory hashes = randomLeaves(1 + size % 40);
        uint256 index = place % hashes.length;
        bytes32 root = Trees.root(hashes);
        bytes32[] memory path = Trees.path(hashes, index);
        uint64 count = uint64(hashes.length);
        vm.assertTrue(reader.verify(root, count, uint64(index), hashes[index], path), "at its index");
        // Only the low bits steer the path: an index with other high bits would name the same leaf.
        uint64 other = uint64(elsewhere);
        vm.assume(other != index);
        vm.assertTrue(!reader.verify(root, count, other, hashes[index], path), "not at another index");
    }

    function testFuzz_pathsOfTheWrongLengthAreRefused(uint8 size, uint256 place) public view {
        bytes32[] memory hashes = randomLeaves(2 + size % 40);
        uint256 index = place % hashes.length;
        bytes32 root = Trees.root(hashes);
        bytes32[] memory path = Trees.path(hashes, index);
        uint64 count = uint64(hashes.length);

        // An inner node as leaf: the parent of the leaf, with one sibling fewer.
        bytes32 parent = index % 2 == 0
            ? keccak256(bytes.concat(hashes[index], path[0]))
            : keccak256(bytes.concat(path[0], hashes[index]));
        bytes32[] memory shorter = new bytes32[](path.length - 1);
        for (uint256 i; i < shorter.length; ++i) {
            shorter[i] = path[i + 1];
        }
        vm.assertTrue(!reader.verify(root, count, uint64(index / 2), parent, shorter), "one level too few");
        vm.assertTrue(!reader.verify(root, count, 0, root, new bytes32[](0)), "the root as a leaf");

        bytes32[] memory longer = new bytes32[](path.length + 1);
        for (uint256 i; i < path.length; ++i) {
            longer[i] = path[i];
        }
        vm.assertTrue(!reader.verify(root, count, uint64(index), hashes[index], longer), "one level too many");
    }

    function test_paddingIsNoLeaf() public view {
        bytes32[] memory hashes = randomLeaves(3);
        bytes32[] memory path = Trees.path(hashes, 3);
        vm.assertTrue(!reader.verify(Trees.root(hashes), 3, 3, 0, path), "index 3 of 3");
        vm.assertTrue(!reader.verify(0, 0, 0, 0, new bytes32[](0)), "the empty tree has no leaf");
    }

    function test_oneLeafIsItsOwnRoot() public view {
        bytes32 leaf = SettlementTree.payoutLeaf(0, bytes32(uint256(7)), 9);
        vm.assertTrue(reader.verify(leaf, 1, 0, leaf, new bytes32[](0)), "depth 0");
    }

    function test_leavesArePackedAsWritten() public pure {
        bytes memory posting = hex"0000000000000005"
            hex"1111111111111111111111111111111111111111111111111111111111111111" hex"0000000000000102" hex"00000003"
            hex"fffffffffffffffffffffffffffffffe" hex"00000000000000000000000000000004"
            hex"00000000000000000000000000000006";
        vm.assertEq(posting.length, 100, "a posting has 100 bytes");
        bytes32 payee = 0x1111111111111111111111111111111111111111111111111111111111111111;
        vm.assertEq(SettlementTree.postingLeaf(5, payee, 0x102, 3, -2, 4, 6), keccak256(posting), "posting");
        bytes memory payout = bytes.concat(hex"0000000000000005", payee, hex"00000000000000000000000000000004");
        vm.assertEq(payout.length, 56, "a payout has 56 bytes");
        vm.assertEq(SettlementTree.payoutLeaf(5, payee, 4), keccak256(payout), "payout");
        vm.assertEq(SettlementTree.debitLeaf(5, payee, 4), keccak256(payout), "debit");
    }

    function testFuzz_debitOfFindsPresentAndAbsentPayers(uint8 size, uint8 asked) public view {
        // Payers 10, 20, 30 …, each with its own number as debit.
        uint256 count = size % 20;
        (bytes32[] memory payers, uint128[] memory debits) = tens(count);
        bytes32[] memory hashes = Trees.leaves(payers, debits);
        bytes32 root = Trees.root(hashes);
        uint256 payer = asked;
        bool isPresent = payer % 10 == 0 && payer != 0 && payer <= count * 10;
        uint256 below = payer / 10; // how many payers stand before it
        SettlementTree.DebitLeaf[] memory leaves;
        if (count == 0) leaves = new SettlementTree.DebitLeaf[](0);
        else if (isPresent) leaves = shown(payers, debits, below - 1, below - 1);
        else if (below == 0) leaves = shown(payers, debits, 0, 0);
        else if (below >= count) leaves = shown(payers, debits, count - 1, count - 1);
        else leaves = shown(payers, debits, below - 1, below);
        uint128 debit = reader.debitOf(root, uint64(count), bytes32(payer), leaves);
        vm.assertEq(debit, isPresent ? payer : 0, "the debit");
    }

    function test_absenceCannotBeClaimedByPresentPayersOrWithTheWrongNeighbours() public {
        (bytes32[] memory payers, uint128[] memory debits) = tens(4);
        bytes32 root = Trees.root(Trees.leaves(payers, debits));
        // [1, 3]: the leaves 20 and 40 surround the asked 30, but they are not adjacent.
        uint256[2][8] memory shownLeaves = [
            [uint256(1), 3], [uint256(3), 3],
            [uint256(3), 1],
            [uint256(0), 2],
            [uint256(1), 1],
            [uint256(0), 1],
            [uint256(2), 1],
            [uint256(0), 0]
        ];
        for (uint256 i; i < shownLeaves.length; ++i) {
            SettlementTree.DebitLeaf[] memory leaves = shown(payers, debits, shownLeaves[i][0], shownLeaves[i][1]);
            refuses(SettlementTree.InvalidDebitProof.selector);
            reader.debitOf(root, 4, bytes32(uint256(30)), leaves);
        }
        // Leaves 20 and 30 around 25, but the amount is not the one committed.
        SettlementTree.DebitLeaf[] memory forged = shown(payers, debits, 2, 2);
        forged[0].cumulative = 1;
        refuses(SettlementTree.InvalidDebitProof.selector);
        reader.debitOf(root, 4, bytes32(uint256(30)), forged);
        refuses(SettlementTree.InvalidDebitProof.selector);
        reader.debitOf(root, 4, bytes32(uint256(30)), new SettlementTree.DebitLeaf[](0));
    }

    function tens(uint256 count) private pure returns (bytes32[] memory payers, uint128[] memory debits) {
        payers = new bytes32[](count);
        debits = new uint128[](count);
        for (uint256 i; i < count; ++i) {
            payers[i] = bytes32(10 * (i + 1));
            debits[i] = uint128(10 * (i + 1));
        }
    }

    /// @dev The leaves at `first` and `last`, or one leaf where they are the same.
    function shown(bytes32[] memory payers, uint128[] memory debits, uint256 first, uint256 last)
        private
        pure
        returns (SettlementTree.DebitLeaf[] memory leaves)
    {
        bytes32[] memory hashes = Trees.leaves(payers, debits);
        leaves = new SettlementTree.DebitLeaf[](first == last ? 1 : 2);
        leaves[0] = SettlementTree.DebitLeaf(uint64(first), payers[first], debits[first], Trees.path(hashes, first));
        if (first == last) return leaves;
        leaves[1] = SettlementTree.DebitLeaf(uint64(last), payers[last], debits[last], Trees.path(hashes, last));
    }

    function randomLeaves(uint256 count) private pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[](count);
        for (uint256 i; i < count; ++i) {
            hashes[i] = keccak256(abi.encode("leaf", i));
        }
    }
}

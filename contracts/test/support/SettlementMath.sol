// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SettlementTree} from "../../src/libraries/SettlementTree.sol";
import {SplitMath} from "../../src/libraries/SplitMath.sol";

/// @dev The libraries behind external functions, so that a test outside the EVM can hold its own results against them.
contract SettlementMath {
    function splitOfStage(bytes32 ledger, uint64 seq, uint8 stage, int128 amount, uint256[] memory weights)
        external
        pure
        returns (int128[] memory)
    {
        return SplitMath.parts(amount, weights, SplitMath.stageOffset(ledger, seq, stage, sum(weights)));
    }

    function splitOfPool(bytes32 ledger, uint64 epoch, bytes32 pool, int128 amount, uint256[] memory weights)
        external
        pure
        returns (int128[] memory)
    {
        return SplitMath.parts(amount, weights, SplitMath.poolOffset(ledger, epoch, pool, sum(weights)));
    }

    function verifyPayout(
        bytes32 root,
        uint64 count,
        uint64 index,
        bytes32 payee,
        uint128 cumulative,
        bytes32[] calldata path
    ) external pure returns (bool) {
        return SettlementTree.verify(root, count, index, SettlementTree.payoutLeaf(index, payee, cumulative), path);
    }

    function verifyPosting(
        bytes32 root,
        uint64 count,
        uint64 index,
        bytes32 payee,
        uint64 seq,
        uint32 leg,
        int128 amount,
        uint128 cumulative,
        uint128 grandTotal,
        bytes32[] calldata path
    ) external pure returns (bool) {
        bytes32 leaf = SettlementTree.postingLeaf(index, payee, seq, leg, amount, cumulative, grandTotal);
        return SettlementTree.verify(root, count, index, leaf, path);
    }

    function sum(uint256[] memory weights) private pure returns (uint256 total) {
        for (uint256 i; i < weights.length; ++i) {
            total += weights[i];
        }
    }
}

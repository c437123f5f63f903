// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FeePolicy} from "../src/FeePolicy.sol";
import {IFeePolicy, Policy} from "../src/interfaces/IFeePolicy.sol";
import {World} from "./support/World.sol";

contract FeePolicyTest is World {
    function test_theHashIsOverTheNineFieldsInOrder() public view {
        bytes32 expected =
            keccak256(abi.encode(2_500, 1_000, 5_000, 1_000, 500, 2_000, uint256(1), uint256(2), uint256(3)));
        vm.assertEq(policy.current(), expected, "keccak256 of nine words");
        vm.assertEq(keccak256(abi.encode(policy.policyOf(expected))), expected, "and back");
    }

    function test_anUnknownPolicyIsRefused() public {
        refuses(IFeePolicy.UnknownPolicy.selector);
        policy.policyOf("mine");
    }

    function test_onlyTheOwnerSetsAPolicy() public {
        refuses(bytes4(keccak256("OwnableUnauthorizedAccount(address)")));
        policy.setPolicy(defaultPolicy());
    }

    function test_theHardLimits() public {
        // model, context, contributors, stakers, treasury, prior cap
        uint16[6][10] memory bad = [
            [uint16(4_001), 499, 4_500, 500, 500, 0],
            [uint16(1_500), 2_001, 4_999, 1_000, 500, 0],
            [uint16(3_001), 1_000, 3_999, 1_500, 500, 0],
            [uint16(1_500), 500, 5_499, 2_001, 500, 0],
            [uint16(2_801), 1_000, 5_000, 1_000, 199, 0],
            [uint16(1_499), 1_000, 5_500, 1_000, 1_001, 0],
            [uint16(2_500), 1_000, 5_000, 1_000, 500, 2_001],
            [uint16(2_500), 1_000, 5_000, 1_000, 499, 2_000],
            [uint16(2_500), 1_000, 5_000, 1_000, 501, 2_000],
            [uint16(0), 0, 0, 0, 0, 0]
        ];
        for (uint256 i; i < bad.length; ++i) {
            vm.prank(governor);
            refuses(IFeePolicy.PolicyOutOfLimits.selector);
            policy.setPolicy(withBps(bad[i]));
        }
        uint16[6][3] memory good = [
            [uint16(4_000), 1_200, 4_000, 600, 200, 2_000],
            [uint16(0), 2_000, 5_000, 2_000, 1_000, 0],
            [uint16(0), 0, 9_800, 0, 200, 0]
        ];
        for (uint256 i; i < good.length; ++i) {
            vm.prank(governor);
            policy.setPolicy(withBps(good[i]));
        }
    }

    function test_standingPayeesExist() public {
        for (uint256 i; i < 3; ++i) {
            Policy memory bad = defaultPolicy();
            if (i == 0) bad.treasuryPayee = 0;
            if (i == 1) bad.reservePayee = 0;
            if (i == 2) bad.datanetReservePayee = 0;
            vm.prank(governor);
            refuses(IFeePolicy.EmptyPayee.selector);
            policy.setPolicy(bad);
        }
    }

    function test_hashAtFindsThePolicyOfABlock() public {
        uint64 start = uint64(block.number);
        bytes32 first = policy.current();
        bytes32[] memory hashes = new bytes32[](5);
        for (uint16 i; i < 5; ++i) {
            vm.roll(start + 10 * (i + 1));
            vm.prank(governor);
            hashes[i] = policy.setPolicy(withBps([2_400 - i, 1_000, 5_100 + i, 1_000, 500, uint16(100)]));
        }
        vm.assertEq(policy.hashAt(start - 2), 0, "before the first");
        vm.assertEq(policy.hashAt(start + 9), first, "the first until the second");
        for (uint64 i; i < 5; ++i) {
            vm.assertEq(policy.hashAt(start + 10 * (i + 1)), hashes[i], "from its block on");
            vm.assertEq(policy.hashAt(start + 10 * (i + 1) + 9), hashes[i], "until the next");
        }
        vm.assertEq(policy.hashAt(type(uint64).max), hashes[4], "the last");
    }

    function test_theLastChangeOfABlockCountsAndAnOldPolicyCanReturn() public {
        bytes32 first = policy.current();
        vm.roll(block.number + 1);
        vm.prank(governor);
        bytes32 second = policy.setPolicy(withBps([2_400, 1_000, 5_100, 1_000, 500, uint16(0)]));
        vm.prank(governor);
        policy.setPolicy(defaultPolicy());
        vm.assertEq(policy.hashAt(uint64(block.number)), first, "the last of the block");
        vm.assertTrue(policy.policyOf(second).contributorsBps == 5_100, "the other is still readable");
    }

    function withBps(uint16[6] memory bps) private pure returns (Policy memory changed) {
        changed = defaultPolicy();
        (changed.modelBps, changed.contextBps, changed.contributorsBps) = (bps[0], bps[1], bps[2]);
        (changed.stakersBps, changed.treasuryBps, changed.priorCapBps) = (bps[3], bps[4], bps[5]);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SplitMath} from "../src/libraries/SplitMath.sol";
import {Test} from "./support/Test.sol";

contract SplitMathTest is Test {
    function testFuzz_partsSumToTheAmountAndStayWithinOneUnitOfTheirQuota(
        int64 amount,
        uint8 size,
        uint256 seed,
        bytes32 ledger,
        uint64 seq,
        uint8 stage
    ) public pure {
        (uint256[] memory weights, uint256 total) = randomWeights(size, seed);
        uint256 offset = SplitMath.stageOffset(ledger, seq, stage, total);
        int128[] memory split = SplitMath.parts(amount, weights, offset);
        uint256 magnitude = uint256(amount < 0 ? -int256(amount) : int256(amount));
        int256 sum;
        for (uint256 i; i < weights.length; ++i) {
            sum += split[i];
            uint256 part = uint256(amount < 0 ? -int256(split[i]) : int256(split[i]));
            uint256 quota = magnitude * weights[i]; // times total
            vm.assertLe(quota, (part + 1) * total - 1, "at most one unit below its quota");
            vm.assertLe(part * total, quota + total - 1, "at most one unit above its quota");
        }
        vm.assertEq(sum, amount, "the parts sum to the amount");
    }

    function test_everyOffsetOnceGivesEveryoneTheirQuota() public pure {
        uint256[] memory weights = new uint256[](4);
        (weights[0], weights[1], weights[2], weights[3]) = (1, 0, 3, 6);
        int256[4] memory paid;
        for (uint256 offset; offset < 10; ++offset) {
            int128[] memory split = SplitMath.parts(7, weights, offset);
            for (uint256 i; i < 4; ++i) {
                paid[i] += split[i];
            }
        }
        for (uint256 i; i < 4; ++i) {
            vm.assertEq(paid[i], int256(7 * weights[i]), "quota times ten");
        }
    }

    function test_handWorkedRow() public pure {
        // A = 10 over 1, 2, 4 with r = 3: ⌊13/7⌋, ⌊33/7⌋, ⌊73/7⌋ = 1, 4, 10.
        uint256[] memory weights = new uint256[](3);
        (weights[0], weights[1], weights[2]) = (1, 2, 4);
        int128[] memory split = SplitMath.parts(10, weights, 3);
        vm.assertEq(split[0], 1, "1");
        vm.assertEq(split[1], 3, "4 - 1");
        vm.assertEq(split[2], 6, "10 - 4");
        vm.assertEq(SplitMath.parts(-10, weights, 3)[2], -6, "a negative amount is split as its opposite");
    }

    function test_theLargestAmountsDoNotOverflow() public pure {
        uint256[] memory weights = new uint256[](2);
        (weights[0], weights[1]) = (2 ** 32 - 1, 1);
        int128[] memory split = SplitMath.parts(type(int128).min, weights, 2 ** 32 - 1);
        vm.assertEq(int256(split[0]) + split[1], int256(type(int128).min), "the sum");
    }

    function test_refusesImpossibleWeights() public {
        Splitter splitter = new Splitter();
        refuses(SplitMath.InvalidWeights.selector);
        splitter.part(1, 0, 0, 0, 0);
        refuses(SplitMath.InvalidWeights.selector);
        splitter.part(1, 0, 1, 2 ** 32 + 1, 0);
        refuses(SplitMath.InvalidWeights.selector);
        splitter.part(1, 2, 1, 3, 0);
        refuses(SplitMath.InvalidWeights.selector);
        splitter.part(1, 0, 4, 3, 0);
        refuses(SplitMath.InvalidWeights.selector);
        splitter.part(1, 0, 1, 3, 3);
    }

    function randomWeights(uint8 size, uint256 seed) private pure returns (uint256[] memory weights, uint256 total) {
        weights = new uint256[](1 + size % 64);
        for (uint256 i; i < weights.length; ++i) {
            // Small numbers, so that ties and zeros are common, and now and then a large one.
            uint256 draw = uint256(keccak256(abi.encode(seed, i)));
            weights[i] = draw % 8 == 0 ? draw % 2 ** 26 : (draw >> 8) % 4;
            total += weights[i];
        }
        if (total == 0) total = weights[0] = 1;
    }
}

contract Splitter {
    function part(int128 amount, uint256 before, uint256 prefix, uint256 total, uint256 offset)
        external
        pure
        returns (int128)
    {
        return SplitMath.part(amount, before, prefix, total, offset);
    }
}

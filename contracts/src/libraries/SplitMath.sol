// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title SplitMath
/// @notice The systematic split of an amount over payees in ascending order (Madow 1949), the same bits as `src/core/split.ts`.
/// @dev With weights' prefix sums W and total T, and an offset r in [0, T):
/// part_i = ⌊(A·W_i + r)/T⌋ − ⌊(A·W_{i−1} + r)/T⌋. The parts sum to A, each is within one unit of its quota A·w_i/T, and
/// over a uniform r its expectation is its quota. A split is checked leg by leg, so one leg needs two prefixes and no loop.
library SplitMath {
    /// @notice Weights of one split sum to at most this.
    uint256 internal constant WEIGHT_TOTAL_MAX = 2 ** 32;

    /// @notice The total weight is zero or above `WEIGHT_TOTAL_MAX`, or a prefix does not ascend within it.
    error InvalidWeights();

    /// @notice r = uint256(keccak256(ledger ‖ u64 seq ‖ u8 stage)) mod total.
    function stageOffset(bytes32 ledger, uint64 seq, uint8 stage, uint256 total) internal pure returns (uint256) {
        _checkTotal(total);
        return uint256(keccak256(abi.encodePacked(ledger, seq, stage))) % total;
    }

    /// @notice r = uint256(keccak256(ledger ‖ u64 epoch ‖ bytes32 pool payee)) mod total.
    function poolOffset(bytes32 ledger, uint64 epoch, bytes32 pool, uint256 total) internal pure returns (uint256) {
        _checkTotal(total);
        return uint256(keccak256(abi.encodePacked(ledger, epoch, pool))) % total;
    }

    /// @notice The part of the payee whose weight reaches from `prefixBefore` to `prefix`.
    /// @param amount Nano; a negative amount is split as its opposite.
    function part(int128 amount, uint256 prefixBefore, uint256 prefix, uint256 total, uint256 offset)
        internal
        pure
        returns (int128)
    {
        _checkTotal(total);
        require(prefixBefore <= prefix && prefix <= total && offset < total, InvalidWeights());
        uint256 size = uint256(amount < 0 ? -int256(amount) : int256(amount));
        // size ≤ 2^127 and prefix ≤ 2^32: nothing overflows, and the difference is at most size.
        int256 share = int256((size * prefix + offset) / total - (size * prefixBefore + offset) / total);
        return int128(amount < 0 ? -share : share);
    }

    /// @notice All parts of a split, in the order of the weights.
    function parts(int128 amount, uint256[] memory weights, uint256 offset)
        internal
        pure
        returns (int128[] memory split)
    {
        uint256 total;
        for (uint256 i; i < weights.length; ++i) {
            total += weights[i];
        }
        split = new int128[](weights.length);
        uint256 prefix;
        for (uint256 i; i < weights.length; ++i) {
            split[i] = part(amount, prefix, prefix + weights[i], total, offset);
            prefix += weights[i];
        }
    }

    function _checkTotal(uint256 total) private pure {
        require(total != 0 && total <= WEIGHT_TOTAL_MAX, InvalidWeights());
    }
}

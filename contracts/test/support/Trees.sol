// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev Builds settlement trees the slow and obvious way, for tests only: nothing here is shared with the contracts.
library Trees {
    function payoutRoot(bytes32[] memory payees, uint128[] memory amounts) internal pure returns (bytes32) {
        return root(leaves(payees, amounts));
    }

    /// @dev Payout and debit leaves have the same 56 bytes: index, id, lifetime nano.
    function leaves(bytes32[] memory ids, uint128[] memory amounts) internal pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            hashes[i] = keccak256(bytes.concat(bytes8(uint64(i)), ids[i], bytes16(amounts[i])));
        }
    }

    function root(bytes32[] memory hashes) internal pure returns (bytes32) {
        if (hashes.length == 0) return 0;
        bytes32[] memory level = pad(hashes);
        while (level.length > 1) level = above(level);
        return level[0];
    }

    function path(bytes32[] memory hashes, uint256 index) internal pure returns (bytes32[] memory siblings) {
        bytes32[] memory level = pad(hashes);
        uint256 depth;
        for (uint256 width = level.length; width > 1; width /= 2) {
            ++depth;
        }
        siblings = new bytes32[](depth);
        for (uint256 i; i < depth; ++i) {
            siblings[i] = level[index ^ 1];
            level = above(level);
            index /= 2;
        }
    }

    function above(bytes32[] memory level) private pure returns (bytes32[] memory parents) {
        parents = new bytes32[](level.length / 2);
        for (uint256 i; i < parents.length; ++i) {
            parents[i] = keccak256(bytes.concat(level[2 * i], level[2 * i + 1]));
        }
    }

    function pad(bytes32[] memory hashes) private pure returns (bytes32[] memory level) {
        uint256 width = 1;
        while (width < hashes.length) width *= 2;
        level = new bytes32[](width);
        for (uint256 i; i < hashes.length; ++i) {
            level[i] = hashes[i];
        }
    }
}

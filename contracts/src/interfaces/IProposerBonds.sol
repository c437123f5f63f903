// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice A proposer's bond at one ledger.
/// @param amount Wei of OPEN.
/// @param releasableAt When it may be taken back, 0 while nobody asked.
/// @param lastEpoch The latest epoch that it stands behind.
struct Bond {
    uint128 amount;
    uint64 releasableAt;
    uint64 lastEpoch;
}

/// @title IProposerBonds
/// @notice What a proposer loses when an epoch of its own is proven wrong. Kept apart by ledger and by proposer.
interface IProposerBonds {
    event BondPosted(bytes32 indexed ledger, address indexed proposer, address from, uint128 amount, uint128 total);
    event BondReleaseRequested(bytes32 indexed ledger, address indexed proposer, uint64 releasableAt);
    event BondReleaseCancelled(bytes32 indexed ledger, address indexed proposer);
    event BondReleased(bytes32 indexed ledger, address indexed proposer, uint128 amount);
    event BondTaken(bytes32 indexed ledger, address indexed proposer, address indexed challenger, uint128 amount);

    error InsufficientBond(uint128 amount, uint128 required);
    error BondIsLeaving();
    error BondNotReleasable();

    /// @notice Adds the caller's OPEN to the bond of `proposer`, to whom it will be released.
    function postBond(bytes32 ledger, address proposer, uint128 amount) external;

    /// @notice From now on the caller proposes nothing; after the ledger's thaw it can take its bond back.
    function requestBondRelease(bytes32 ledger) external;

    function cancelBondRelease(bytes32 ledger) external;

    /// @notice Pays the caller its thawed bond, once no epoch of its own is pending.
    function releaseBond(bytes32 ledger) external;

    function bondOf(bytes32 ledger, address proposer) external view returns (Bond memory);
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice How a royalty is divided over roles, in basis points that sum to 10,000, and who the three standing payees are.
/// @param priorCapBps The largest part of a royalty that unattributed weight may send to datanets' prior pools.
/// @param reservePayee Pays for validation, disputes and refunds.
/// @param datanetReservePayee The contributors' part of a model without a datanet.
struct Policy {
    uint16 modelBps;
    uint16 contextBps;
    uint16 contributorsBps;
    uint16 stakersBps;
    uint16 treasuryBps;
    uint16 priorCapBps;
    bytes32 treasuryPayee;
    bytes32 reservePayee;
    bytes32 datanetReservePayee;
}

/// @title IFeePolicy
/// @notice The fee policy, versioned by its hash. Governance moves inside hard limits and can never move the limits.
interface IFeePolicy {
    /// @notice `policy` is in force from the end of block `fromBlock` on.
    event PolicySet(bytes32 indexed hash, uint64 fromBlock, Policy policy);

    /// @notice A basis-point field is outside its limits, or the roles do not sum to 10,000.
    error PolicyOutOfLimits();
    error EmptyPayee();
    error UnknownPolicy(bytes32 hash);

    /// @notice Puts a policy in force. Owner only.
    function setPolicy(Policy calldata policy) external returns (bytes32 hash);

    /// @notice The hash of the policy in force.
    function current() external view returns (bytes32);

    /// @notice The hash of the policy that was in force at the end of `blockNumber`; zero before the first.
    function hashAt(uint64 blockNumber) external view returns (bytes32);

    /// @notice The policy with this hash; reverts with `UnknownPolicy` when it never was in force.
    function policyOf(bytes32 hash) external view returns (Policy memory);

    /// @notice keccak256(abi.encode(policy)): the six uint16 and the three bytes32, in this order.
    function policyHash(Policy calldata policy) external pure returns (bytes32);
}

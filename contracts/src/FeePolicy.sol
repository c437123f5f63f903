// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IFeePolicy, Policy} from "./interfaces/IFeePolicy.sol";

/// @title FeePolicy
/// @notice Every policy that was ever in force, and when. An epoch names the policy of its registry block, so a change
/// counts from the next epoch and never backwards.
contract FeePolicy is Ownable2Step, IFeePolicy {
    uint16 public constant BPS = 10_000;
    uint16 public constant MODEL_BPS_MAX = 4_000;
    uint16 public constant CONTEXT_BPS_MAX = 2_000;
    uint16 public constant CONTRIBUTORS_BPS_MIN = 4_000;
    uint16 public constant STAKERS_BPS_MAX = 2_000;
    uint16 public constant TREASURY_BPS_MIN = 200;
    uint16 public constant TREASURY_BPS_MAX = 1_000;
    uint16 public constant PRIOR_CAP_BPS_MAX = 2_000;

    struct Change {
        uint64 fromBlock;
        bytes32 hash;
    }

    Change[] private _changes;
    mapping(bytes32 hash => Policy) private _policies;

    constructor(address owner, Policy memory policy) Ownable(owner) {
        _set(policy);
    }

    /// @inheritdoc IFeePolicy
    function setPolicy(Policy calldata policy) external onlyOwner returns (bytes32 hash) {
        return _set(policy);
    }

    /// @inheritdoc IFeePolicy
    function current() external view returns (bytes32) {
        return _changes[_changes.length - 1].hash;
    }

    /// @inheritdoc IFeePolicy
    function hashAt(uint64 blockNumber) external view returns (bytes32) {
        // The number of changes up to and including the block, by bisection: changes ascend by block.
        uint256 low;
        uint256 high = _changes.length;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (_changes[middle].fromBlock <= blockNumber) low = middle + 1;
            else high = middle;
        }
        return low == 0 ? bytes32(0) : _changes[low - 1].hash;
    }

    /// @inheritdoc IFeePolicy
    function policyOf(bytes32 hash) external view returns (Policy memory policy) {
        policy = _policies[hash];
        // No valid policy gives contributors nothing.
        require(policy.contributorsBps != 0, UnknownPolicy(hash));
    }

    /// @inheritdoc IFeePolicy
    function policyHash(Policy memory policy) public pure returns (bytes32) {
        return keccak256(abi.encode(policy));
    }

    function _set(Policy memory policy) private returns (bytes32 hash) {
        _check(policy);
        hash = policyHash(policy);
        _policies[hash] = policy;
        uint64 fromBlock = uint64(block.number);
        uint256 count = _changes.length;
        // The last change of a block is the one that counts at its end.
        if (count != 0 && _changes[count - 1].fromBlock == fromBlock) _changes[count - 1].hash = hash;
        else _changes.push(Change(fromBlock, hash));
        emit PolicySet(hash, fromBlock, policy);
    }

    function _check(Policy memory policy) private pure {
        uint256 sum = uint256(policy.modelBps) + policy.contextBps + policy.contributorsBps + policy.stakersBps
            + policy.treasuryBps;
        require(
            sum == BPS && policy.modelBps <= MODEL_BPS_MAX && policy.contextBps <= CONTEXT_BPS_MAX
                && policy.contributorsBps >= CONTRIBUTORS_BPS_MIN && policy.stakersBps <= STAKERS_BPS_MAX
                && policy.treasuryBps >= TREASURY_BPS_MIN && policy.treasuryBps <= TREASURY_BPS_MAX
                && policy.priorCapBps <= PRIOR_CAP_BPS_MAX,
            PolicyOutOfLimits()
        );
        require(policy.treasuryPayee != 0 && policy.reservePayee != 0 && policy.datanetReservePayee != 0, EmptyPayee());
    }
}

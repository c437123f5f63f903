// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Bond, IProposerBonds} from "../interfaces/IProposerBonds.sol";
import {LedgerBook} from "./LedgerBook.sol";

/// @title ProposerBonds
/// @notice Bonds stay in this contract, apart from all that payers deposited, which the escrow holds.
abstract contract ProposerBonds is LedgerBook, IProposerBonds {
    using SafeERC20 for IERC20;

    IERC20 public immutable OPEN;

    mapping(bytes32 ledger => mapping(address proposer => Bond)) private _bonds;

    constructor(IERC20 open) {
        OPEN = open;
    }

    /// @inheritdoc IProposerBonds
    function postBond(bytes32 ledger, address proposer, uint128 amount) external {
        require(isOpen(ledger), UnknownLedger(ledger));
        Bond storage bond = _bonds[ledger][proposer];
        bond.amount += amount;

        emit BondPosted(ledger, proposer, msg.sender, amount, bond.amount);

        OPEN.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IProposerBonds
    function requestBondRelease(bytes32 ledger) external {
        Bond storage bond = _bonds[ledger][msg.sender];
        require(bond.amount != 0, InsufficientBond(0, 1));
        require(bond.releasableAt == 0, BondIsLeaving());
        bond.releasableAt = uint64(block.timestamp + _ledger(ledger).periods.thawSeconds);
        emit BondReleaseRequested(ledger, msg.sender, bond.releasableAt);
    }

    /// @inheritdoc IProposerBonds
    function cancelBondRelease(bytes32 ledger) external {
        require(_bonds[ledger][msg.sender].releasableAt != 0, BondNotReleasable());
        _bonds[ledger][msg.sender].releasableAt = 0;
        emit BondReleaseCancelled(ledger, msg.sender);
    }

    /// @inheritdoc IProposerBonds
    function releaseBond(bytes32 ledger) external {
        Bond memory bond = _bonds[ledger][msg.sender];
        require(
            bond.releasableAt != 0 && block.timestamp >= bond.releasableAt && !_isPending(ledger, bond.lastEpoch),
            BondNotReleasable()
        );
        delete _bonds[ledger][msg.sender];

        emit BondReleased(ledger, msg.sender, bond.amount);

        OPEN.safeTransfer(msg.sender, bond.amount);
    }

    /// @inheritdoc IProposerBonds
    function bondOf(bytes32 ledger, address proposer) external view returns (Bond memory) {
        return _bonds[ledger][proposer];
    }

    /// @dev Puts the caller's bond behind `epoch`.
    function _stake(bytes32 ledger, uint64 epoch) internal {
        Bond storage bond = _bonds[ledger][msg.sender];
        require(bond.amount >= _bondFloor(), InsufficientBond(bond.amount, _bondFloor()));
        require(bond.releasableAt == 0, BondIsLeaving());
        bond.lastEpoch = epoch;
    }

    /// @dev Pays the whole bond to the challenger.
    function _takeBond(bytes32 ledger, address proposer, address challenger) internal {
        uint128 amount = _bonds[ledger][proposer].amount;
        _bonds[ledger][proposer].amount = 0;

        emit BondTaken(ledger, proposer, challenger, amount);

        OPEN.safeTransfer(challenger, amount);
    }

    function _isPending(bytes32 ledger, uint64 epoch) internal view virtual returns (bool);
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IEpochSettlement} from "./interfaces/IEpochSettlement.sol";
import {IPayerEscrow, PayerAccount, Purse, Withdrawal} from "./interfaces/IPayerEscrow.sol";
import {SettlementTree} from "./libraries/SettlementTree.sol";

/// @title PayerEscrow
/// @notice Made by EpochSettlement in its constructor, so that the two can never be wired to a stranger.
contract PayerEscrow is IPayerEscrow {
    using SafeERC20 for IERC20;

    /// @notice One nano OPEN.
    uint256 public constant WEI_PER_NANO = 1e9;
    uint256 public constant EXIT_SECONDS = 30 days;

    IERC20 public immutable OPEN;
    IEpochSettlement public immutable SETTLEMENT;

    mapping(bytes32 ledger => Purse) private _purses;
    mapping(bytes32 ledger => mapping(address payer => PayerAccount)) private _accounts;
    mapping(bytes32 ledger => mapping(address payer => Withdrawal)) private _withdrawals;
    /// @notice Nano, as proven last.
    mapping(bytes32 ledger => mapping(address payer => uint128)) public provenDebit;
    /// @notice Seconds since 1970; never erased, so that a voucher's signer can be judged later.
    mapping(bytes32 ledger => mapping(address payer => mapping(address signer => uint64))) public signerUntil;

    constructor(IERC20 open) {
        OPEN = open;
        SETTLEMENT = IEpochSettlement(msg.sender);
    }

    /* DEPOSITS */

    /// @inheritdoc IPayerEscrow
    function deposit(bytes32 ledger, address payer, uint256 amount) public returns (uint64 index) {
        require(!SETTLEMENT.paused(), DepositsPaused());
        require(SETTLEMENT.isOpen(ledger), UnknownLedger(ledger));
        require(payer != address(0), EmptyAddress());
        uint128 value = _wholeNano(amount);

        Purse storage purse = _purses[ledger];
        PayerAccount storage account = _accounts[ledger][payer];
        index = purse.depositCount++;
        purse.deposited += value;
        account.deposited += value;

        emit Deposited(ledger, payer, index, msg.sender, value, account.deposited);

        OPEN.safeTransferFrom(msg.sender, address(this), value);
    }

    /// @inheritdoc IPayerEscrow
    function depositWithPermit(
        bytes32 ledger,
        address payer,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external returns (uint64 index) {
        // A used permit has left its allowance behind; without one the transfer fails.
        try IERC20Permit(address(OPEN)).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        return deposit(ledger, payer, amount);
    }

    /// @inheritdoc IPayerEscrow
    function setSigner(bytes32 ledger, address signer, uint64 until) external {
        require(signer != address(0), EmptyAddress());
        uint64 effective = uint64(Math.max(until, block.timestamp));
        signerUntil[ledger][msg.sender][signer] = effective;
        emit SignerSet(ledger, msg.sender, signer, effective);
    }

    /* WITHDRAWALS */

    /// @inheritdoc IPayerEscrow
    function requestWithdrawal(bytes32 ledger, uint256 amount) external {
        uint128 value = _wholeNano(amount);
        PayerAccount storage account = _accounts[ledger][msg.sender];
        uint256 balance = account.deposited - account.withdrawn;
        require(value <= balance, ExceedsBalance(value, balance));
        uint64 availableAt = uint64(block.timestamp + SETTLEMENT.thawSeconds(ledger));
        _withdrawals[ledger][msg.sender] = Withdrawal(value, availableAt);
        emit WithdrawalRequested(ledger, msg.sender, value, availableAt);
    }

    /// @inheritdoc IPayerEscrow
    function cancelWithdrawal(bytes32 ledger) external {
        require(_withdrawals[ledger][msg.sender].amount != 0, NoWithdrawal());
        delete _withdrawals[ledger][msg.sender];
        emit WithdrawalCancelled(ledger, msg.sender);
    }

    /// @inheritdoc IPayerEscrow
    function withdraw(bytes32 ledger, address payer, SettlementTree.DebitLeaf[] calldata leaves)
        external
        returns (uint128 amount)
    {
        return _withdraw(ledger, payer, proveDebit(ledger, payer, leaves), 0);
    }

    /// @inheritdoc IPayerEscrow
    function withdrawUnproven(bytes32 ledger) external returns (uint128 amount) {
        return _withdraw(ledger, msg.sender, provenDebit[ledger][msg.sender], EXIT_SECONDS);
    }

    /// @inheritdoc IPayerEscrow
    function proveDebit(bytes32 ledger, address payer, SettlementTree.DebitLeaf[] calldata leaves)
        public
        returns (uint128 cumulative)
    {
        uint64 epoch;
        (epoch, cumulative) = SETTLEMENT.finalDebitOf(ledger, payer, leaves);
        // A correction may lower a debit, so the latest epoch counts and not the largest amount.
        provenDebit[ledger][payer] = cumulative;
        emit DebitProven(ledger, payer, epoch, cumulative);
    }

    /* CLAIMS */

    /// @inheritdoc IPayerEscrow
    function pay(bytes32 ledger, address to, uint128 nano, uint128 credits) external {
        require(msg.sender == address(SETTLEMENT), NotSettlement());
        Purse storage purse = _purses[ledger];
        uint256 amount = nano * WEI_PER_NANO;
        uint256 paid = purse.paid + amount;
        // The second half follows from the solvency gate; it stands here so that no error elsewhere can reach another purse.
        require(paid <= credits * WEI_PER_NANO && paid + purse.withdrawn <= purse.deposited, ExceedsCredits());
        // The settlement's Claimed and the token's Transfer tell the rest.
        purse.paid = uint128(paid);

        OPEN.safeTransfer(to, amount);
    }

    /* VIEWS */

    /// @inheritdoc IPayerEscrow
    function netDeposits(bytes32 ledger) public view returns (uint256) {
        return _purses[ledger].deposited - _purses[ledger].withdrawn;
    }

    /// @inheritdoc IPayerEscrow
    function purseOf(bytes32 ledger) external view returns (Purse memory) {
        return _purses[ledger];
    }

    /// @inheritdoc IPayerEscrow
    function accountOf(bytes32 ledger, address payer) external view returns (PayerAccount memory) {
        return _accounts[ledger][payer];
    }

    /// @inheritdoc IPayerEscrow
    function withdrawalOf(bytes32 ledger, address payer) external view returns (Withdrawal memory) {
        return _withdrawals[ledger][payer];
    }

    /// @inheritdoc IPayerEscrow
    function isSigner(bytes32 ledger, address payer, address signer) external view returns (bool) {
        return signer == payer || signerUntil[ledger][payer][signer] > block.timestamp;
    }

    /// @param debit The payer's lifetime nano.
    /// @param waitSeconds On top of the thaw.
    function _withdraw(bytes32 ledger, address payer, uint128 debit, uint256 waitSeconds)
        private
        returns (uint128 amount)
    {
        Withdrawal storage request = _withdrawals[ledger][payer];
        PayerAccount storage account = _accounts[ledger][payer];
        require(request.amount != 0, NoWithdrawal());
        uint256 from = request.availableAt + waitSeconds;
        require(block.timestamp >= from, StillThawing(uint64(from)));

        uint256 unspent = Math.saturatingSub(account.deposited - account.withdrawn, debit * WEI_PER_NANO);
        uint256 due = Math.min(request.amount, unspent);
        // What the ledger's finalised debits need stays, whatever its debit tree says about single payers: the
        // solvency gate keeps holding after it has been passed.
        uint256 room = netDeposits(ledger) - SETTLEMENT.finalDebits(ledger) * WEI_PER_NANO;
        amount = uint128(Math.min(due, room));
        require(amount != 0, NothingToWithdraw());

        // What lacks room stays requested; what was spent does not.
        if (due == amount) delete _withdrawals[ledger][payer];
        else request.amount = uint128(due - amount);
        account.withdrawn += amount;
        _purses[ledger].withdrawn += amount;

        emit Withdrawn(ledger, payer, amount, account.withdrawn);

        OPEN.safeTransfer(payer, amount);
    }

    function _wholeNano(uint256 amount) private pure returns (uint128) {
        require(amount != 0 && amount % WEI_PER_NANO == 0 && amount <= type(uint128).max, InvalidAmount(amount));
        return uint128(amount);
    }
}

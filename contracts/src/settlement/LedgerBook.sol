// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Floors, ILedgerBook, Ledger, Periods, Roles, SignerTerm} from "../interfaces/ILedgerBook.sol";

/// @title LedgerBook
/// @notice Opens ledgers and knows who acts for them. The contract's owner can pause for a bounded time and nothing else.
abstract contract LedgerBook is Ownable2Step, ILedgerBook {
    uint256 public constant PERIOD_SECONDS_MAX = 30 days;
    uint256 public constant EXPIRY_SECONDS_MAX = 10 * 365 days;
    uint256 public constant PAUSE_SECONDS = 7 days;

    Floors private _floors;
    uint64 public pausedUntil;
    mapping(bytes32 ledger => Ledger) private _ledgers;
    mapping(bytes32 ledger => mapping(address signer => SignerTerm)) private _signerTerms;

    constructor(Floors memory required) {
        _floors = required;
    }

    modifier whenNotPaused() {
        require(!paused(), IsPaused(pausedUntil));
        _;
    }

    modifier onlyLedgerOwner(bytes32 ledger) {
        require(msg.sender == _ledger(ledger).owner, NotLedgerOwner());
        _;
    }

    /// @inheritdoc ILedgerBook
    function openLedger(bytes32 salt, Roles calldata roles, Periods calldata periods)
        external
        whenNotPaused
        returns (bytes32 ledger)
    {
        ledger = ledgerId(msg.sender, salt);
        _open(ledger, salt, roles, periods);
    }

    /// @inheritdoc ILedgerBook
    function adoptLedger(Roles calldata roles, Periods calldata periods)
        external
        whenNotPaused
        returns (bytes32 ledger)
    {
        ledger = creditLedgerId(msg.sender);
        _open(ledger, 0, roles, periods);
    }

    /// @inheritdoc ILedgerBook
    function setRoles(bytes32 ledger, Roles calldata roles) external onlyLedgerOwner(ledger) {
        _setRoles(ledger, roles);
    }

    /// @inheritdoc ILedgerBook
    function transferLedger(bytes32 ledger, address pendingOwner) external onlyLedgerOwner(ledger) {
        _ledgers[ledger].pendingOwner = pendingOwner;
        emit LedgerTransferStarted(ledger, msg.sender, pendingOwner);
    }

    /// @inheritdoc ILedgerBook
    function acceptLedger(bytes32 ledger) external {
        Ledger storage transferred = _ledger(ledger);
        require(msg.sender == transferred.pendingOwner, NotLedgerOwner());
        emit LedgerTransferred(ledger, transferred.owner, msg.sender);
        transferred.owner = msg.sender;
        transferred.pendingOwner = address(0);
    }

    /// @inheritdoc ILedgerBook
    function pause() external onlyOwner {
        uint256 notBefore = pausedUntil == 0 ? 0 : pausedUntil + PAUSE_SECONDS;
        require(block.timestamp >= notBefore, PausedTooRecently(uint64(notBefore)));
        _setPausedUntil(block.timestamp + PAUSE_SECONDS);
    }

    /// @inheritdoc ILedgerBook
    function unpause() external onlyOwner {
        if (paused()) _setPausedUntil(block.timestamp);
    }

    /// @inheritdoc ILedgerBook
    function ledgerId(address owner, bytes32 salt) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), owner, salt));
    }

    /// @inheritdoc ILedgerBook
    function creditLedgerId(address node) public pure returns (bytes32) {
        return keccak256(abi.encodePacked("openledger credit ledger", node));
    }

    /// @inheritdoc ILedgerBook
    function ledgerOf(bytes32 ledger) external view returns (Ledger memory) {
        return _ledger(ledger);
    }

    /// @inheritdoc ILedgerBook
    function signerTerm(bytes32 ledger, address signer) external view returns (SignerTerm memory) {
        return _signerTerms[ledger][signer];
    }

    /// @inheritdoc ILedgerBook
    function isOpen(bytes32 ledger) public view returns (bool) {
        return _ledgers[ledger].owner != address(0);
    }

    /// @inheritdoc ILedgerBook
    function paused() public view returns (bool) {
        return block.timestamp < pausedUntil;
    }

    /// @inheritdoc ILedgerBook
    function thawSeconds(bytes32 ledger) external view returns (uint256) {
        return _ledger(ledger).periods.thawSeconds;
    }

    /// @inheritdoc ILedgerBook
    function floors() public view returns (Floors memory) {
        return _floors;
    }

    function _ledger(bytes32 ledger) internal view returns (Ledger storage known) {
        known = _ledgers[ledger];
        require(known.owner != address(0), UnknownLedger(ledger));
    }

    function _bondFloor() internal view returns (uint128) {
        return _floors.bond;
    }

    function _open(bytes32 ledger, bytes32 salt, Roles calldata roles, Periods calldata periods) private {
        Ledger storage opened = _ledgers[ledger];
        require(opened.owner == address(0), LedgerExists(ledger));
        _checkPeriods(periods);

        opened.owner = msg.sender;
        opened.openedAt = uint64(block.timestamp);
        opened.periods = periods;
        emit LedgerOpened(ledger, msg.sender, salt, roles, periods);
        _setRoles(ledger, roles);
    }

    function _setRoles(bytes32 ledger, Roles calldata roles) private {
        require(roles.signer != address(0) && roles.proposer != address(0) && roles.attestor != address(0), EmptyRole());
        address before = _ledgers[ledger].roles.signer;
        if (before != roles.signer) {
            if (before != address(0)) _signerTerms[ledger][before].until = uint64(block.timestamp);
            require(_signerTerms[ledger][roles.signer].from == 0, SignerRetired(roles.signer));
            _signerTerms[ledger][roles.signer].from = uint64(block.timestamp);
        }
        _ledgers[ledger].roles = roles;
        emit RolesSet(ledger, roles);
    }

    function _setPausedUntil(uint256 until) private {
        pausedUntil = uint64(until);
        emit Paused(uint64(until));
    }

    function _checkPeriods(Periods calldata periods) private view {
        Floors memory required = _floors;
        require(
            periods.epochSeconds != 0 && periods.epochSeconds <= PERIOD_SECONDS_MAX
                && periods.windowSeconds >= required.windowSeconds && periods.windowSeconds <= PERIOD_SECONDS_MAX
                && periods.thawSeconds >= 2 * uint256(periods.epochSeconds) + periods.windowSeconds
                && periods.thawSeconds <= 3 * PERIOD_SECONDS_MAX && periods.noticeSeconds >= required.noticeSeconds
                && periods.noticeSeconds <= PERIOD_SECONDS_MAX && periods.expirySeconds >= required.expirySeconds
                && periods.expirySeconds > periods.noticeSeconds && periods.expirySeconds <= EXPIRY_SECONDS_MAX,
            InvalidPeriods()
        );
    }
}

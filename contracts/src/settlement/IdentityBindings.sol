// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {Binding, IdentityPreimage, IIdentityBindings} from "../interfaces/IIdentityBindings.sol";
import {Ledger} from "../interfaces/ILedgerBook.sol";
import {LedgerBook} from "./LedgerBook.sol";

/// @title IdentityBindings
/// @notice The attestor says what it has checked; it can neither hurry nor hide it, and never change it afterwards.
abstract contract IdentityBindings is LedgerBook, IIdentityBindings {
    uint8 internal constant OUTCOME_BOUND = 1;
    uint8 internal constant OUTCOME_REDIRECTED = 3;
    uint8 internal constant OUTCOME_EXPIRED = 5;

    IERC721 public immutable REGISTRY;

    mapping(bytes32 ledger => mapping(bytes32 payee => Binding)) private _bindings;

    constructor(IERC721 registry) {
        REGISTRY = registry;
    }

    /// @inheritdoc IIdentityBindings
    function noticeBinding(
        bytes32 ledger,
        IdentityPreimage calldata preimage,
        uint8 outcome,
        address account,
        bytes32 proofHash
    ) external returns (bytes32 payee) {
        Ledger storage book = _ledger(ledger);
        require(msg.sender == book.roles.attestor, NotAttestor());
        require(outcome >= OUTCOME_BOUND && outcome <= OUTCOME_EXPIRED, UnknownOutcome(outcome));
        bool isPaid = outcome == OUTCOME_BOUND || outcome == OUTCOME_REDIRECTED;
        require(isPaid == (account != address(0)), OutcomeNeedsAccount());
        payee = identityPayee(preimage);
        require(!_bindings[ledger][payee].isFinal, AlreadyFinal());

        // Identities of a ledger that began on credit name no chain and no registry.
        bool isHere = preimage.chainId == block.chainid && preimage.registry == address(REGISTRY)
            || preimage.chainId == 0 && preimage.registry == address(0);
        bytes32 datanet = isHere ? preimage.datanet : bytes32(0);
        uint256 noticed = outcome == OUTCOME_EXPIRED ? book.periods.expirySeconds : book.periods.noticeSeconds;
        uint64 finalAt = uint64(block.timestamp + noticed);
        _bindings[ledger][payee] = Binding(outcome, false, finalAt, account, proofHash, datanet);

        emit BindingNoticed(ledger, payee, datanet, outcome, account, proofHash, finalAt);
    }

    /// @inheritdoc IIdentityBindings
    function contestBinding(bytes32 ledger, bytes32 payee, bytes32 reasonHash) external {
        Ledger storage book = _ledger(ledger);
        Binding storage binding = _pendingBinding(ledger, payee);
        require(
            msg.sender == book.owner || msg.sender == book.roles.attestor || _ownsDatanet(msg.sender, binding.datanet),
            NotParty()
        );
        delete _bindings[ledger][payee];
        emit BindingContested(ledger, payee, msg.sender, reasonHash);
    }

    /// @inheritdoc IIdentityBindings
    function finaliseBinding(bytes32 ledger, bytes32 payee, uint8 outcome, address account) external {
        Binding storage binding = _pendingBinding(ledger, payee);
        require(binding.outcome == outcome && binding.account == account, NoticeChanged());
        require(block.timestamp >= binding.finalAt, NoticeStillRuns(binding.finalAt));
        binding.isFinal = true;
        emit BindingFinal(ledger, payee, outcome, account);
    }

    /// @inheritdoc IIdentityBindings
    function bindingOf(bytes32 ledger, bytes32 payee) external view returns (Binding memory) {
        return _bindings[ledger][payee];
    }

    /// @inheritdoc IIdentityBindings
    function entitledTo(bytes32 ledger, bytes32 payee) public view returns (address) {
        if (uint256(payee) >> 160 == 0) return address(uint160(uint256(payee)));
        Binding storage binding = _bindings[ledger][payee];
        return binding.isFinal ? binding.account : address(0);
    }

    /// @inheritdoc IIdentityBindings
    function identityPayee(IdentityPreimage calldata preimage) public pure returns (bytes32) {
        return keccak256(abi.encodePacked(preimage.chainId, preimage.registry, preimage.datanet, preimage.tag));
    }

    function _pendingBinding(bytes32 ledger, bytes32 payee) private view returns (Binding storage binding) {
        binding = _bindings[ledger][payee];
        require(binding.outcome != 0, NothingNoticed());
        require(!binding.isFinal, AlreadyFinal());
    }

    function _ownsDatanet(address account, bytes32 datanet) private view returns (bool) {
        if (datanet == 0) return false;
        try REGISTRY.ownerOf(uint256(datanet)) returns (address owner) {
            return owner == account;
        } catch {
            return false;
        }
    }
}

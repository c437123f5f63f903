// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What the payee id of an external identity is the hash of: keccak256(u64 chainId ‖ address registry ‖
/// bytes32 datanet ‖ bytes32 tag), where tag = HMAC-SHA256(datanet secret, identity).
/// @dev Showing it proves which datanet the payee belongs to and unmasks nobody.
struct IdentityPreimage {
    uint64 chainId;
    address registry;
    bytes32 datanet;
    bytes32 tag;
}

/// @notice What became of an identity at one ledger.
/// @param outcome 1 bound, 2 refused, 3 redirected, 4 left, 5 expired; 0 while nothing is noticed.
/// @param isFinal Nothing changes a final binding.
/// @param finalAt When the notice ends, in seconds since 1970.
/// @param account Who is paid, for outcomes 1 and 3; zero for the others, whose money returns to payers.
/// @param proofHash Hash of the proof that the attestor checked.
/// @param datanet The identity's datanet, whose owner may contest; zero when it is registered elsewhere.
struct Binding {
    uint8 outcome;
    bool isFinal;
    uint64 finalAt;
    address account;
    bytes32 proofHash;
    bytes32 datanet;
}

/// @title IIdentityBindings
/// @notice External identities become addresses: by the attestor's notice of a proof, in public, contestable, once.
/// @dev A binding concerns one ledger's money only, so a dishonest attestor can reach no other ledger's.
interface IIdentityBindings {
    event BindingNoticed(
        bytes32 indexed ledger,
        bytes32 indexed payee,
        bytes32 indexed datanet,
        uint8 outcome,
        address account,
        bytes32 proofHash,
        uint64 finalAt
    );
    event BindingContested(bytes32 indexed ledger, bytes32 indexed payee, address indexed by, bytes32 reasonHash);
    event BindingFinal(bytes32 indexed ledger, bytes32 indexed payee, uint8 outcome, address account);

    error NotAttestor();
    error NotParty();
    error UnknownOutcome(uint8 outcome);
    /// @notice Bound and redirected name an account, the other outcomes none.
    error OutcomeNeedsAccount();
    error AlreadyFinal();
    error NothingNoticed();
    error NoticeStillRuns(uint64 finalAt);
    error NoticeChanged();

    /// @notice Gives notice of what became of an identity; it replaces an earlier notice and starts its time over.
    /// Attestor only. An expiry stands for the ledger's `expirySeconds`, everything else for `noticeSeconds`.
    function noticeBinding(
        bytes32 ledger,
        IdentityPreimage calldata preimage,
        uint8 outcome,
        address account,
        bytes32 proofHash
    ) external returns (bytes32 payee);

    /// @notice Strikes a notice. For the owner of the identity's datanet, the ledger's owner and the attestor, until it is final.
    function contestBinding(bytes32 ledger, bytes32 payee, bytes32 reasonHash) external;

    /// @notice Makes a notice final once its time has run. Anyone may.
    /// @param outcome With `account`: what the caller expects to become final.
    function finaliseBinding(bytes32 ledger, bytes32 payee, uint8 outcome, address account) external;

    function bindingOf(bytes32 ledger, bytes32 payee) external view returns (Binding memory);

    /// @notice Whom `payee` stands for at `ledger`: the address that the id pads, or the account finally bound; else zero.
    function entitledTo(bytes32 ledger, bytes32 payee) external view returns (address);

    function identityPayee(IdentityPreimage calldata preimage) external pure returns (bytes32);
}

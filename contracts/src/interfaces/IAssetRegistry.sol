// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice A parent of an asset, and how much of the parents' share it gets relative to the other parents.
struct Parent {
    bytes32 id;
    uint32 weight;
}

/// @notice What an asset asks for.
/// @param unit 0: prices are nano OPEN; 1: prices are micro-USD.
/// @param inPerMillion Royalty per million tokens in.
/// @param outPerMillion Royalty per million tokens out.
/// @param perCall Royalty per call.
/// @param parentsBps The part of the asset's own share that flows to its parents, in basis points.
/// @param licence SPDX identifier, at most 32 bytes.
struct Terms {
    uint8 unit;
    uint64 inPerMillion;
    uint64 outPerMillion;
    uint64 perCall;
    uint16 parentsBps;
    string licence;
}

/// @notice What somebody registers.
/// @param kind 0 datanet, 1 context, 2 model, 3 agent, 4 tool.
/// @param contentRoot Root over the asset's content; a datanet's leaves are its contributions.
/// @param vectorRoot keccak256 of the flattened royalty vector, which follows from parents and terms.
/// @param uri Where the manifest is.
/// @param salt Tells apart assets of one creator that are otherwise equal.
struct Registration {
    uint8 kind;
    bytes32 contentRoot;
    Parent[] parents;
    Terms terms;
    bytes32 vectorRoot;
    string uri;
    bytes32 salt;
}

/// @notice A registered asset.
struct Asset {
    uint8 kind;
    address creator;
    uint64 registeredBlock;
    bytes32 contentRoot;
    bytes32 termsHash;
    bytes32 vectorRoot;
    Terms terms;
    Parent[] parents;
}

/// @title IAssetRegistry
/// @notice Content-addressed assets as ERC-721 tokens: the owner is the payee and can transfer; a version never changes.
interface IAssetRegistry {
    /// @notice The registration is a new asset.
    event AssetRegistered(
        bytes32 indexed asset,
        uint8 indexed kind,
        address indexed creator,
        bytes32 contentRoot,
        bytes32 vectorRoot,
        Terms terms,
        Parent[] parents,
        string uri
    );

    error UnknownKind(uint8 kind);
    error EmptyContent();
    error TooManyParents(uint256 count);
    error UnknownParent(bytes32 parent);
    /// @notice Parents ascend strictly by id, so none stands twice and one set of parents has one encoding.
    error UnsortedParents();
    /// @notice A share for parents without parents, a parent without weight, or weights that sum above 2^32.
    error InvalidParentShare();
    error InvalidTerms();

    /// @notice Registers an asset for the caller, who becomes its creator and first owner.
    /// @dev The id contains the creator: copying a registration out of the mempool registers something else.
    /// Nobody is called back, so a contract without `onERC721Received` can own assets.
    function register(Registration calldata registration) external returns (bytes32 asset);

    /// @notice Registers an asset that the caller's ledger knew on credit, under the id that it has there, for whoever owns
    /// it there. The caller is its creator.
    /// @dev The id contains the caller, so nobody can register it first; what else it says is in that ledger's journal.
    function adopt(Registration calldata registration, address owner) external returns (bytes32 asset);

    /// @notice keccak256("openledger credit asset" ‖ node ‖ u8 kind ‖ contentRoot ‖ salt).
    function creditAssetId(Registration calldata registration, address node) external pure returns (bytes32);

    /// @notice keccak256(abi.encode(chainId, registry, kind, contentRoot, keccak256(abi.encode(parents)), termsHash,
    /// creator, salt)); the ERC-721 token id is the same 32 bytes.
    function assetId(Registration calldata registration, address creator) external view returns (bytes32);

    /// @notice keccak256(abi.encode(unit, inPerMillion, outPerMillion, perCall, parentsBps, keccak256(licence))).
    function termsHash(Terms calldata terms) external pure returns (bytes32);

    /// @notice The asset; all zero for an unknown one.
    function assetOf(bytes32 asset) external view returns (Asset memory);

    function isRegistered(bytes32 asset) external view returns (bool);
}

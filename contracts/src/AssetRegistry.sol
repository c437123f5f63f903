// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {Asset, IAssetRegistry, Parent, Registration, Terms} from "./interfaces/IAssetRegistry.sol";

/// @title AssetRegistry
/// @notice Where assets and what they were made from are on record. A parent exists before its child, so the provenance
/// graph is acyclic by construction.
contract AssetRegistry is ERC721, IAssetRegistry {
    uint256 public constant PARENTS_MAX = 16;
    uint256 public constant LICENCE_BYTES_MAX = 32;
    uint8 public constant KIND_LAST = 4;
    uint8 public constant UNIT_LAST = 1;

    mapping(bytes32 asset => Asset) private _assets;
    mapping(bytes32 asset => string) private _uris;

    constructor() ERC721("OpenLedger assets", "OLA") {}

    /// @inheritdoc IAssetRegistry
    function register(Registration calldata registration) external returns (bytes32 asset) {
        _check(registration);
        asset = assetId(registration, msg.sender);
        _register(asset, registration, msg.sender);
    }

    /// @inheritdoc IAssetRegistry
    function adopt(Registration calldata registration, address owner) external returns (bytes32 asset) {
        _check(registration);
        asset = creditAssetId(registration, msg.sender);
        _register(asset, registration, owner);
    }

    function _register(bytes32 asset, Registration calldata registration, address owner) private {
        // Reverts when the token exists: a version is immutable.
        _mint(owner, uint256(asset));

        Asset storage stored = _assets[asset];
        stored.kind = registration.kind;
        stored.creator = msg.sender;
        stored.registeredBlock = uint64(block.number);
        stored.contentRoot = registration.contentRoot;
        stored.termsHash = termsHash(registration.terms);
        stored.vectorRoot = registration.vectorRoot;
        stored.terms = registration.terms;
        for (uint256 i; i < registration.parents.length; ++i) {
            stored.parents.push(registration.parents[i]);
        }
        _uris[asset] = registration.uri;

        emit AssetRegistered(
            asset,
            registration.kind,
            msg.sender,
            registration.contentRoot,
            registration.vectorRoot,
            registration.terms,
            registration.parents,
            registration.uri
        );
    }

    /// @inheritdoc IAssetRegistry
    function assetId(Registration calldata registration, address creator) public view returns (bytes32) {
        return keccak256(
            abi.encode(
                block.chainid,
                address(this),
                registration.kind,
                registration.contentRoot,
                keccak256(abi.encode(registration.parents)),
                termsHash(registration.terms),
                creator,
                registration.salt
            )
        );
    }

    /// @inheritdoc IAssetRegistry
    function creditAssetId(Registration calldata registration, address node) public pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                "openledger credit asset", node, registration.kind, registration.contentRoot, registration.salt
            )
        );
    }

    /// @inheritdoc IAssetRegistry
    function termsHash(Terms calldata terms) public pure returns (bytes32) {
        return keccak256(
            abi.encode(
                terms.unit,
                terms.inPerMillion,
                terms.outPerMillion,
                terms.perCall,
                terms.parentsBps,
                keccak256(bytes(terms.licence))
            )
        );
    }

    /// @inheritdoc IAssetRegistry
    function assetOf(bytes32 asset) external view returns (Asset memory) {
        return _assets[asset];
    }

    /// @inheritdoc IAssetRegistry
    function isRegistered(bytes32 asset) public view returns (bool) {
        return _assets[asset].registeredBlock != 0;
    }

    /// @inheritdoc ERC721
    function tokenURI(uint256 asset) public view override returns (string memory) {
        _requireOwned(asset);
        return _uris[bytes32(asset)];
    }

    function _check(Registration calldata registration) private view {
        Terms calldata terms = registration.terms;
        Parent[] calldata parents = registration.parents;
        require(registration.kind <= KIND_LAST, UnknownKind(registration.kind));
        require(registration.contentRoot != 0, EmptyContent());
        require(terms.unit <= UNIT_LAST && bytes(terms.licence).length <= LICENCE_BYTES_MAX, InvalidTerms());
        require(parents.length <= PARENTS_MAX, TooManyParents(parents.length));
        require(terms.parentsBps <= (parents.length == 0 ? 0 : 10_000), InvalidParentShare());

        bytes32 before;
        uint256 total;
        for (uint256 i; i < parents.length; ++i) {
            require(parents[i].id > before, UnsortedParents());
            require(isRegistered(parents[i].id), UnknownParent(parents[i].id));
            require(parents[i].weight != 0, InvalidParentShare());
            before = parents[i].id;
            total += parents[i].weight;
        }
        require(total <= 2 ** 32, InvalidParentShare());
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Asset, IAssetRegistry, Parent, Registration, Terms} from "../src/interfaces/IAssetRegistry.sol";
import {World} from "./support/World.sol";

contract AssetRegistryTest is World {
    address private creator = address(0xC4EA);

    function test_registersAndTellsEverythingBack() public {
        bytes32 parent = register(datanetOf("records"));
        Registration memory model = modelOf(parent);
        bytes32 asset = register(model);
        bytes32 termsHash =
            keccak256(abi.encode(uint8(0), uint64(5), uint64(6), uint64(7), uint16(3_000), keccak256("CC-BY-4.0")));
        bytes32 expected = keccak256(
            abi.encode(
                uint256(31_337),
                address(registry),
                uint8(2),
                bytes32("weights"),
                keccak256(abi.encode(model.parents)),
                termsHash,
                creator,
                bytes32("salt")
            )
        );
        vm.assertEq(asset, expected, "content-addressed");
        Asset memory stored = registry.assetOf(asset);
        vm.assertEq(stored.termsHash, termsHash, "terms hash");
        vm.assertEq(keccak256(abi.encode(stored.terms)), keccak256(abi.encode(model.terms)), "terms");
        vm.assertEq(keccak256(abi.encode(stored.parents)), keccak256(abi.encode(model.parents)), "parents");
        vm.assertEq(stored.contentRoot, model.contentRoot, "content");
        vm.assertEq(stored.vectorRoot, model.vectorRoot, "vector");
        vm.assertEq(stored.creator, creator, "creator");
        vm.assertEq(uint256(stored.registeredBlock), block.number, "block");
        vm.assertEq(registry.ownerOf(uint256(asset)), creator, "first owner");
        vm.assertEq(keccak256(bytes(registry.tokenURI(uint256(asset)))), keccak256("ipfs://manifest"), "uri");
    }

    function test_aVersionIsImmutableAndACopyIsAnotherAsset() public {
        bytes32 first = register(datanetOf("records"));
        vm.prank(creator);
        refuses(bytes4(keccak256("ERC721InvalidSender(address)")));
        registry.register(datanetOf("records"));
        vm.prank(stranger);
        vm.assertTrue(registry.register(datanetOf("records")) != first, "a copy has its own id");
        vm.assertEq(registry.ownerOf(uint256(first)), creator, "and takes nothing");
    }

    function test_anAssetOfALedgerOnCreditKeepsItsIdAndItsOwner() public {
        Registration memory records = datanetOf("records");
        bytes memory packed = bytes.concat(
            "openledger credit asset", bytes20(creator), bytes1(records.kind), records.contentRoot, records.salt
        );
        vm.prank(creator);
        bytes32 asset = registry.adopt(records, stranger);
        vm.assertEq(asset, keccak256(packed), "the id in its journal");
        vm.assertEq(registry.ownerOf(uint256(asset)), stranger, "its owner there");
        vm.assertEq(registry.assetOf(asset).creator, creator, "made by");
        vm.assertEq(registry.assetOf(asset).contentRoot, records.contentRoot, "content");
        vm.prank(creator);
        refuses(bytes4(keccak256("ERC721InvalidSender(address)")));
        registry.adopt(records, creator);
        vm.prank(stranger);
        vm.assertTrue(registry.adopt(records, stranger) != asset, "nobody else can register it");
        vm.prank(creator);
        refuses(IAssetRegistry.UnknownParent.selector);
        registry.adopt(modelOf("nobody"), creator);
        vm.prank(creator);
        vm.assertTrue(registry.adopt(modelOf(asset), creator) != 0, "behind its parent");
    }

    function test_theOwnerTransfersAndTheCreatorStaysOnRecord() public {
        bytes32 asset = register(datanetOf("records"));
        vm.prank(stranger);
        refuses(bytes4(keccak256("ERC721InsufficientApproval(address,uint256)")));
        registry.transferFrom(creator, stranger, uint256(asset));
        vm.prank(creator);
        registry.transferFrom(creator, stranger, uint256(asset));
        vm.assertEq(registry.ownerOf(uint256(asset)), stranger, "sold");
        vm.assertEq(registry.assetOf(asset).creator, creator, "made by");
    }

    function test_parentsExistAscendAndHaveWeight() public {
        bytes32 parent = register(datanetOf("records"));
        Registration memory model = modelOf("unknown");
        refusesRegistration(model, IAssetRegistry.UnknownParent.selector);
        model = modelOf(0);
        refusesRegistration(model, IAssetRegistry.UnsortedParents.selector);
        model = modelOf(parent);
        model.parents = new Parent[](2);
        (model.parents[0], model.parents[1]) = (Parent(parent, 1), Parent(parent, 1));
        refusesRegistration(model, IAssetRegistry.UnsortedParents.selector);
        model = modelOf(parent);
        model.parents[0].weight = 0;
        refusesRegistration(model, IAssetRegistry.InvalidParentShare.selector);
        model = modelOf(parent);
        model.terms.parentsBps = 10_001;
        refusesRegistration(model, IAssetRegistry.InvalidParentShare.selector);
        model.parents = new Parent[](0);
        model.terms.parentsBps = 1;
        refusesRegistration(model, IAssetRegistry.InvalidParentShare.selector);
    }

    function test_sixteenParentsAreTheMost() public {
        bytes32[] memory ids = new bytes32[](17);
        for (uint256 i; i < 17; ++i) {
            ids[i] = register(datanetOf(bytes32(i + 1)));
        }
        sort(ids);
        Registration memory model = modelOf(ids[0]);
        model.parents = new Parent[](17);
        for (uint256 i; i < 17; ++i) {
            model.parents[i] = Parent(ids[i], 1);
        }
        refusesRegistration(model, IAssetRegistry.TooManyParents.selector);
        model.parents = new Parent[](16);
        for (uint256 i; i < 16; ++i) {
            model.parents[i] = Parent(ids[i], 2 ** 28);
        }
        vm.assertEq(registry.assetOf(register(model)).parents.length, 16, "sixteen, weights summing to 2^32");
        model.parents[0].weight += 1;
        refusesRegistration(model, IAssetRegistry.InvalidParentShare.selector);
    }

    function test_kindsContentUnitsAndLicencesAreChecked() public {
        Registration memory bad = datanetOf("records");
        bad.kind = 5;
        refusesRegistration(bad, IAssetRegistry.UnknownKind.selector);
        bad = datanetOf(0);
        refusesRegistration(bad, IAssetRegistry.EmptyContent.selector);
        bad = datanetOf("records");
        bad.terms.unit = 2;
        refusesRegistration(bad, IAssetRegistry.InvalidTerms.selector);
        bad = datanetOf("records");
        bad.terms.licence = "123456789012345678901234567890123";
        refusesRegistration(bad, IAssetRegistry.InvalidTerms.selector);
    }

    function test_contractsThatKnowNothingOfTokensCanRegister() public {
        // `this` has no onERC721Received: nobody is called back, so nobody can re-enter either.
        bytes32 asset = registry.register(datanetOf("records"));
        vm.assertEq(registry.ownerOf(uint256(asset)), address(this), "ours");
    }

    function register(Registration memory registration) private returns (bytes32) {
        vm.prank(creator);
        return registry.register(registration);
    }

    function refusesRegistration(Registration memory registration, bytes4 selector) private {
        vm.prank(creator);
        refuses(selector);
        registry.register(registration);
    }

    function datanetOf(bytes32 contentRoot) private pure returns (Registration memory registration) {
        registration.contentRoot = contentRoot;
        registration.terms.licence = "CC0-1.0";
    }

    function modelOf(bytes32 parent) private pure returns (Registration memory registration) {
        Parent[] memory parents = new Parent[](1);
        parents[0] = Parent(parent, 3);
        Terms memory terms = Terms(0, 5, 6, 7, 3_000, "CC-BY-4.0");
        return Registration(2, "weights", parents, terms, "vector", "ipfs://manifest", "salt");
    }

    function sort(bytes32[] memory ids) private pure {
        for (uint256 i = 1; i < ids.length; ++i) {
            for (uint256 j = i; j > 0 && ids[j - 1] > ids[j]; --j) {
                (ids[j - 1], ids[j]) = (ids[j], ids[j - 1]);
            }
        }
    }
}

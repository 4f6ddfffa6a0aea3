// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/gguf_reader.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "tests/support/gguf_bytes.h"
#include "tests/support/paths.h"
#include "tests/support/tiny_model.h"

namespace bitloom {
namespace {

using test::GgufBytes;
using test::raw;
using test::TempDir;

Result<std::shared_ptr<const Model>> openBytes(const TempDir& folder, const std::string& bytes) {
  test::writeFile(folder / "m.gguf", bytes);
  return Model::open(folder / "m.gguf");
}

GgufBytes smallFile() {
  GgufBytes gguf;
  gguf.key("general.architecture", "llama")
      .key("llama.block_count", uint32_t{2})
      .key("a.flag", true)
      .key("a.words", std::vector<std::string>{"one", "two"})
      .key("a.numbers", std::vector<int32_t>{-1, 2});
  gguf.tensor("a.weight", {32, 2}, test::kQ8_0, std::string(68, '\1'));
  gguf.tensor("b.weight", {4}, test::kF32, test::floatBytes({1, 2, 3, 4}));
  return gguf;
}

// ---- what is read ----

TEST(GgufReader, KeepsEveryValueWithItsType) {
  const TempDir folder;
  GgufBytes gguf;
  gguf.key("u8", uint8_t{200}).key("i8", int8_t{-3}).key("u16", uint16_t{60000});
  gguf.key("i16", int16_t{-300}).key("u32", uint32_t{4000000000}).key("i32", int32_t{-5});
  gguf.key("u64", uint64_t{1} << 40).key("i64", -(int64_t{1} << 40)).key("f32", 0.5f);
  gguf.key("f64", 0.25).key("bool", true).key("text", "ä\n").key("none", std::vector<float>{});
  gguf.key("shorts", std::vector<int16_t>{-7, 8}).key("words", std::vector<std::string>{"", "x"});
  const auto model = openBytes(folder, gguf.build());
  ASSERT_TRUE(model) << model.error().message;
  const Metadata& meta = (*model)->metadata();
  ASSERT_EQ(meta.entries().size(), 15u);
  EXPECT_EQ(meta.entries()[0].key, "u8");
  EXPECT_EQ(meta.find("u8")->type, MetaType::U8);
  EXPECT_EQ(meta.unsignedOf("u8"), 200u);
  EXPECT_EQ(meta.numberOf("i8"), -3);
  EXPECT_EQ(meta.find("i8")->type, MetaType::I8);
  EXPECT_EQ(meta.unsignedOf("u16"), 60000u);
  EXPECT_EQ(meta.numberOf("i16"), -300);
  EXPECT_EQ(meta.unsignedOf("u32"), 4000000000u);
  EXPECT_EQ(meta.numberOf("i32"), -5);
  EXPECT_EQ(meta.unsignedOf("u64"), uint64_t{1} << 40);
  EXPECT_EQ(meta.numberOf("i64"), -0x1p40);
  EXPECT_EQ(meta.numberOf("f32"), 0.5);
  EXPECT_EQ(meta.numberOf("f64"), 0.25);
  EXPECT_EQ(meta.boolOf("bool"), true);
  EXPECT_EQ(meta.stringOf("text"), "ä\n");
  EXPECT_EQ(meta.arrayOf("none")->size(), 0u);
  EXPECT_EQ(meta.arrayOf("none")->type, MetaType::F32);
  EXPECT_EQ(meta.arrayOf("shorts")->number(0), -7);
  EXPECT_EQ(meta.arrayOf("shorts")->number(1), 8);
  EXPECT_EQ(meta.arrayOf("words")->strings, (std::vector<std::string>{"", "x"}));
}

TEST(GgufReader, ReadsVersion2AndAnotherAlignment) {
  const TempDir folder;
  GgufBytes gguf = smallFile();
  gguf.version = 2;
  gguf.alignment = 256;
  gguf.key("general.alignment", uint32_t{256});
  const auto model = openBytes(folder, gguf.build());
  ASSERT_TRUE(model) << model.error().message;
  const Tensor& b = *(*model)->find("b.weight");
  EXPECT_EQ(std::memcmp(b.bytes.data(), test::floatBytes({1, 2, 3, 4}).data(), 16), 0);
  const auto* begin = (*model)->find("a.weight")->bytes.data();
  EXPECT_EQ(b.bytes.data() - begin, 256);
}

TEST(GgufReader, ListsTypesThatItCannotDecode) {
  const TempDir folder;
  GgufBytes gguf;
  gguf.tensor("a.weight", {256, 2}, 15, std::string(584, '\0'));
  const auto model = openBytes(folder, gguf.build());
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ((*model)->tensors()[0].type, "q8_k");
  EXPECT_EQ((*model)->tensors()[0].codec, nullptr);
  EXPECT_EQ((*model)->tensors()[0].bytes.size(), 584u);
}

TEST(GgufReader, WarnsOfLongNamesAndGaps) {
  const TempDir folder;
  GgufBytes gguf;
  gguf.tensor(std::string(80, 'n'), {4}, test::kF32, std::string(16, '\0'));
  gguf.tensor("late.weight", {4}, test::kF32, std::string(16, '\0')).offset = 64;
  std::string bytes = gguf.build();
  bytes += std::string(32, '\0');
  const auto model = openBytes(folder, bytes);
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_EQ((*model)->warnings().size(), 2u);
  EXPECT_NE((*model)->warnings()[0].find("has 80 bytes; llama.cpp accepts at most 63"),
            std::string::npos);
  EXPECT_NE((*model)->warnings()[1].find("unused bytes lie before tensor late.weight"),
            std::string::npos);
}

// ---- what is refused, and in which words ----

struct BadFile {
  std::string promise;
  std::string sentence;  // part of the message
  std::function<std::string()> bytes;
};

void PrintTo(const BadFile& bad, std::ostream* out) { *out << bad.promise; }

std::string with(const std::function<void(GgufBytes&)>& change) {
  GgufBytes gguf = smallFile();
  change(gguf);
  return gguf.build();
}

std::string onlyKey(const std::string& name, uint32_t type, const std::string& value) {
  GgufBytes gguf;
  gguf.rawKey(name, type, value);
  return gguf.build();
}

const std::vector<BadFile> kBadFiles = {
    {"Empty", "m.gguf: the file is empty.", [] { return std::string(); }},
    {"OtherMagic", "m.gguf is not a GGUF file: it does not begin with the letters GGUF.",
     [] { return with([](GgufBytes& g) { g.magic = "GGML"; }); }},
    {"Version1", "m.gguf: GGUF version 1 is not supported, only 2 and 3 are.",
     [] { return with([](GgufBytes& g) { g.version = 1; }); }},
    {"Version4", "GGUF version 4 is not supported",
     [] { return with([](GgufBytes& g) { g.version = 4; }); }},
    {"BigEndian", "m.gguf: big-endian GGUF files are not supported.",
     [] { return with([](GgufBytes& g) { g.version = 0x03000000; }); }},
    {"HostileKeyCount", "the header promises 18 446 744 073 709 551 615 keys, more than its",
     [] { return with([](GgufBytes& g) { g.keyCount = ~uint64_t{0}; }); }},
    {"HostileTensorCount", "the header promises 18 446 744 073 709 551 615 tensors, more than its",
     [] { return with([](GgufBytes& g) { g.tensorCount = ~uint64_t{0}; }); }},
    {"OneTensorTooMany", "m.gguf: ", [] { return with([](GgufBytes& g) { g.tensorCount = 3; }); }},
    {"LongKey", "the name of key 1 is 65 536 bytes long; at most 65 535 are allowed",
     [] { return onlyKey(std::string(65536, 'k'), 4, raw(uint32_t{1})); }},
    {"EmptyKey", "key 1 has no name", [] { return onlyKey("", 4, raw(uint32_t{1})); }},
    {"KeyThatIsNotText", "the name of key 1 is not text",
     [] { return onlyKey("a\xff", 4, raw(uint32_t{1})); }},
    {"KeyTwice", "m.gguf: key a.flag appears twice.",
     [] { return with([](GgufBytes& g) { g.key("a.flag", false); }); }},
    {"UnknownKeyType", "key k has the unknown type 13",
     [] { return onlyKey("k", 13, "12345678"); }},
    {"BoolOfTwo", "key k holds 2, which is not a bool",
     [] { return onlyKey("k", 7, raw(uint8_t{2})); }},
    {"HostileString", "the value of key k is 9 223 372 036 854 775 807 bytes long; at most",
     [] { return onlyKey("k", 8, raw(uint64_t{~uint64_t{0} >> 1})); }},
    {"ArrayOfArrays", "key k is an array of arrays, which is not supported",
     [] { return onlyKey("k", 9, raw(uint32_t{9}) + raw(uint64_t{0})); }},
    {"ArrayOfUnknownType", "key k is an array of the unknown type 77",
     [] { return onlyKey("k", 9, raw(uint32_t{77}) + raw(uint64_t{0})); }},
    {"HostileArray",
     "key k promises 4 611 686 018 427 387 904 elements of 4 bytes, but the file has only 0 bytes",
     [] { return onlyKey("k", 9, raw(uint32_t{4}) + raw(uint64_t{1} << 62)); }},
    {"HostileStringArray", "key k promises 1 000 000 000 000 elements of 8 bytes",
     [] { return onlyKey("k", 9, raw(uint32_t{8}) + raw(uint64_t{1000000000000})); }},
    {"AlignmentOfZero", "key general.alignment is 0, which is not a power of two",
     [] { return with([](GgufBytes& g) { g.key("general.alignment", uint32_t{0}); }); }},
    {"AlignmentOf48", "key general.alignment is 48, which is not a power of two",
     [] { return with([](GgufBytes& g) { g.key("general.alignment", uint32_t{48}); }); }},
    {"HugeAlignment", "key general.alignment is 4611686018427387904",
     [] { return with([](GgufBytes& g) { g.key("general.alignment", uint64_t{1} << 62); }); }},
    {"AlignmentThatIsText", "key general.alignment is many",
     [] { return with([](GgufBytes& g) { g.key("general.alignment", "many"); }); }},
    {"TensorTwice", "m.gguf: tensor a.weight appears twice.",
     [] { return with([](GgufBytes& g) { g.tensors[1].name = "a.weight"; }); }},
    {"TensorWithoutName", "tensor 2 has no name",
     [] { return with([](GgufBytes& g) { g.tensors[1].name = ""; }); }},
    {"TensorNameThatIsNotText", "the name of tensor 2 is not text",
     [] { return with([](GgufBytes& g) { g.tensors[1].name = std::string("a\0b", 3); }); }},
    {"VeryLongTensorName", "the name of tensor 2 is 1 025 bytes long; at most 1 024",
     [] { return with([](GgufBytes& g) { g.tensors[1].name = std::string(1025, 'n'); }); }},
    {"NoDimensions", "tensor b.weight has 0 dimensions; 1 to 4 are allowed",
     [] { return with([](GgufBytes& g) { g.tensors[1].dimensions = 0; }); }},
    {"FiveDimensions", "tensor b.weight has 5 dimensions; 1 to 4 are allowed",
     [] { return with([](GgufBytes& g) { g.tensors[1].dimensions = 5; }); }},
    {"ZeroDimension", "dimension 2 of tensor b.weight is zero",
     [] { return with([](GgufBytes& g) {
            g.tensors[1].shape = {4, 0};
          }); }},
    {"ShapeThatOverflows", "the shape of tensor b.weight holds more than 2^63 weights",
     [] {
       return with([](GgufBytes& g) {
         g.tensors[1].shape = {uint64_t{1} << 33, uint64_t{1} << 33};
       });
     }},
    {"ShapeOneAboveTheLimit", "the shape of tensor b.weight holds more than 2^63 weights",
     [] {
       return with([](GgufBytes& g) {
         g.tensors[1].shape = {uint64_t{1} << 32, uint64_t{1} << 31};
       });
     }},
    {"SizeThatOverflows", "the size of tensor b.weight does not fit 64 bits",
     [] { return with([](GgufBytes& g) { g.tensors[1].shape = {uint64_t{1} << 62}; }); }},
    {"UnknownType", "m.gguf: tensor b.weight has the unknown type number 99.",
     [] { return with([](GgufBytes& g) { g.tensors[1].type = 99; }); }},
    {"RemovedType", "tensor b.weight has the unknown type number 4.",
     [] { return with([](GgufBytes& g) { g.tensors[1].type = 4; }); }},
    {"RowThatIsNotWholeBlocks",
     "a row of tensor b.weight has 4 weights, which is not a multiple of the 32 of a q4_0 block",
     [] { return with([](GgufBytes& g) { g.tensors[1].type = test::kQ4_0; }); }},
    {"MisalignedOffset",
     "tensor b.weight begins at offset 97, which is not a multiple of the alignment 32",
     [] { return with([](GgufBytes& g) { g.tensors[1].offset = 97; }); }},
    {"OffsetPastTheEnd",
     "tensor b.weight begins at byte 1 024 of the data, which has only 128 bytes",
     [] { return with([](GgufBytes& g) { g.tensors[1].offset = 1024; }); }},
    {"OffsetNearTheEndOfNumbers", "tensor b.weight begins at byte 18 446 744 073 709 551 584",
     [] { return with([](GgufBytes& g) { g.tensors[1].offset = ~uint64_t{31}; }); }},
    {"TensorPastTheEnd", "tensor b.weight needs 4 000 bytes from byte ",
     [] { return with([](GgufBytes& g) { g.tensors[1].shape = {1000}; }); }},
    {"Overlap", "m.gguf: tensors a.weight and b.weight overlap by 4 bytes.",
     [] { return with([](GgufBytes& g) { g.tensors[1].offset = 64; }); }},
    {"SamePlace", "overlap by 16 bytes",
     [] { return with([](GgufBytes& g) { g.tensors[1].offset = 0; }); }},
};

class BadGguf : public testing::TestWithParam<BadFile> {};

TEST_P(BadGguf, IsRefusedWithASentenceThatNamesIt) {
  const TempDir folder;
  const auto model = openBytes(folder, GetParam().bytes());
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message.find(GetParam().sentence), std::string::npos)
      << model.error().message;
  EXPECT_EQ(model.error().message.rfind("m.gguf", 0), 0u) << model.error().message;
  EXPECT_EQ(model.error().message.back(), '.') << model.error().message;
}

INSTANTIATE_TEST_SUITE_P(GgufReader, BadGguf, testing::ValuesIn(kBadFiles),
                         [](const auto& each) { return each.param.promise; });

// ---- damage of every kind ----

// Touches everything that a Model promises, so that a bad span would crash or alarm a sanitizer.
uint64_t readAll(const Model& model) {
  uint64_t sum = model.weights() + model.name().size() + model.sourceLabel().size();
  std::vector<float> row;
  for (const Tensor& tensor : model.tensors()) {
    for (const std::byte byte : tensor.bytes) sum += uint64_t(byte);
    if (tensor.codec == nullptr || tensor.rowLength() > 4096) continue;
    row.resize(tensor.rowLength());
    decodeRows(tensor, tensor.rows() - 1, 1, row.data());
  }
  for (const Metadata::Entry& entry : model.metadata().entries())
    sum += display(entry.value).size();
  return sum;
}

TEST(GgufReader, AFileCutAtAnyByteIsRefused) {
  const TempDir folder;
  GgufBytes gguf = smallFile();
  gguf.padLast = false;
  const std::string bytes = gguf.build();
  ASSERT_TRUE(openBytes(folder, bytes));
  for (size_t length = 0; length < bytes.size(); ++length) {
    const auto model = openBytes(folder, bytes.substr(0, length));
    ASSERT_FALSE(model) << length;
    ASSERT_FALSE(model.error().message.empty());
  }
}

TEST(GgufReader, AnyChangedHeaderByteGivesAnErrorOrAWholeModel) {
  const TempDir folder;
  const std::string bytes = smallFile().build();
  const size_t headerSize = smallFile().header().size();
  int refused = 0;
  int opened = 0;
  for (size_t i = 0; i < headerSize; ++i) {
    for (const int change : {0x01, 0x80, 0xFF}) {
      std::string damaged = bytes;
      damaged[i] = char(damaged[i] ^ change);
      const auto model = openBytes(folder, damaged);
      if (model) readAll(**model);
      ++(model ? opened : refused);
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(opened, 100);
}

void damageAtRandom(const std::string& bytes, size_t headerSize, uint32_t seed, int rounds) {
  const TempDir folder;
  std::mt19937 random(seed);
  for (int i = 0; i < rounds; ++i) {
    std::string damaged = bytes;
    for (uint32_t flips = random() % 4; flips > 0; --flips) {
      const size_t at = random() % headerSize;
      damaged[at] = char(uint8_t(damaged[at]) ^ (1u << random() % 8));
    }
    if (random() % 2 == 0) damaged.resize(random() % damaged.size());
    const auto model = openBytes(folder, damaged);
    if (model)
      readAll(**model);
    else
      ASSERT_EQ(model.error().message.back(), '.');
  }
}

TEST(GgufReader, RandomDamageOfAWholeModelNeverCrashes) {
  damageAtRandom(test::tinyModelBytes(), 6000, 1, 200);
}

// Only the first part of the file is damaged and written: the tensors' data is past its end.
void damageHeaderOf(const std::string& name, size_t headerBytes, uint32_t seed) {
  std::ifstream in(test::sharedPath(name), std::ios::binary);
  std::string bytes(headerBytes, '\0');
  in.read(bytes.data(), std::streamsize(bytes.size()));
  damageAtRandom(bytes, bytes.size(), seed, 100);
}

TEST(GgufReader, RandomDamageOfTheSharedModelsNeverCrashes) {
  NEEDS_SHARED("models/SmolLM2-135M-Instruct.Q4_1.gguf");
  damageHeaderOf("models/SmolLM2-135M-Instruct.Q4_1.gguf", 1785664, 2);
  damageHeaderOf("models/bitloom-story-11m-f16.gguf", 400000, 3);
  damageHeaderOf("models/stories260K-f32.gguf", 1054464, 4);
}

// ---- type numbers that mean several things ----

struct ForkFile {
  std::string promise;
  uint32_t type;
  size_t bytes;  // of 256 weights
  std::optional<uint32_t> fileType;
  std::string expected;  // type name, or part of a sentence
  bool opens = true;
};

void PrintTo(const ForkFile& file, std::ostream* out) { *out << file.promise; }

class ForkTypes : public testing::TestWithParam<ForkFile> {};

TEST_P(ForkTypes, AreToldApartByTheRoomTheyTake) {
  const TempDir folder;
  GgufBytes gguf;
  if (GetParam().fileType) gguf.key("general.file_type", *GetParam().fileType);
  gguf.tensor("a.weight", {256}, GetParam().type, std::string(GetParam().bytes, '\0'));
  gguf.tensor("b.weight", {256, 50}, GetParam().type, std::string(50 * GetParam().bytes, '\0'));
  const auto model = openBytes(folder, gguf.build());
  ASSERT_EQ(bool(model), GetParam().opens) << (model ? "" : model.error().message);
  if (!model) {
    EXPECT_NE(model.error().message.find(GetParam().expected), std::string::npos)
        << model.error().message;
    return;
  }
  for (const Tensor& tensor : (*model)->tensors()) {
    EXPECT_EQ(tensor.type, GetParam().expected);
    EXPECT_EQ(tensor.bytes.size(), GetParam().bytes * tensor.rows());
    EXPECT_EQ(tensor.codec, findCodec(tensor.type));
  }
  EXPECT_TRUE((*model)->warnings().empty());
}

INSTANTIATE_TEST_SUITE_P(
    GgufReader, ForkTypes,
    testing::Values(
        ForkFile{"Mainline41IsQ1", 41, 36, {}, "q1_0"},
        ForkFile{"TurboTan41IsQ2", 41, 72, {}, "q2_0"},
        ForkFile{"Mainline42IsQ2", 42, 72, {}, "q2_0"},
        ForkFile{"TurboTan42IsQ1", 42, 36, {}, "q1_0"},
        ForkFile{"Type42Of34Bytes", 42, 68, {}, "turbo2_0 or q2_0_g128"},
        ForkFile{"TurboTan44IsTq3", 44, 128, 43, "tq3_1s"},
        ForkFile{"Type44IsTurbo4", 44, 136, {}, "turbo4_0"},
        ForkFile{"Thetom45IsTq3", 45, 128, 43, "tq3_1s"},
        ForkFile{"Thetom46IsTq4", 46, 160, 44, "tq4_1s"},
        ForkFile{"TurboTan46IsTq34", 46, 128, 45, "tq3_4s"},
        ForkFile{"Type47IsTq3", 47, 128, 43, "tq3_1s"}, ForkFile{"Type200", 200, 112, {}, "tq3_0"},
        ForkFile{"Type44OfOtherSize",
                 44,
                 200,
                 {},
                 "tensor a.weight with the type number 44 takes 224 bytes, which fits no known "
                 "layout (tq3_1s takes 128, turbo4_0 takes 136)",
                 false},
        ForkFile{"Type45WhenAllIsTooSmall", 45, 64, {}, "fits no known layout", false}),
    [](const auto& each) { return each.param.promise; });

GgufBytes ambiguousFile() {
  GgufBytes gguf;  // 32 weights: 16 and 20 bytes are both padded to 32
  gguf.tensor("a.weight", {32}, 46, std::string(20, '\0'));
  return gguf;
}

TEST(GgufReader, AForkTypeThatMayBeTwoThingsIsRefused) {
  const TempDir folder;
  const auto model = openBytes(folder, ambiguousFile().build());
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().message,
            "m.gguf: the type number 46 of tensor a.weight may mean tq4_1s or tq3_4s, and nothing "
            "in the file tells which.");
}

TEST(GgufReader, OneTensorMayDecideForAllOfItsType) {
  const TempDir folder;
  GgufBytes gguf = ambiguousFile();
  gguf.tensor("b.weight", {64, 2}, 46, std::string(80, '\0'));
  const auto model = openBytes(folder, gguf.build());
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ((*model)->find("a.weight")->type, "tq4_1s");
}

TEST(GgufReader, FileTypeOrProfileDecidesBetweenTwo) {
  const TempDir folder;
  GgufBytes byFileType = ambiguousFile();
  byFileType.key("general.file_type", uint32_t{45});
  auto model = openBytes(folder, byFileType.build());
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ((*model)->tensors()[0].type, "tq3_4s");
  GgufBytes byProfile = ambiguousFile();
  byProfile.key("bitloom.profile", "thetom");
  model = openBytes(folder, byProfile.build());
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ((*model)->tensors()[0].type, "tq4_1s");
}

TEST(GgufReader, WarnsWhenFileTypeAndSizesDisagree) {
  const TempDir folder;
  GgufBytes gguf;
  gguf.key("general.file_type", uint32_t{45});
  gguf.tensor("a.weight", {256}, 46, std::string(160, '\0'));
  const auto model = openBytes(folder, gguf.build());
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ((*model)->tensors()[0].type, "tq4_1s");
  ASSERT_EQ((*model)->warnings().size(), 1u);
  EXPECT_EQ((*model)->warnings()[0],
            "m.gguf: general.file_type 45 says tq3_4s, but tensors with the type number 46 have "
            "the size of tq4_1s.");
}

TEST(GgufReader, TheLastTensorNeedsNoPadding) {
  const TempDir folder;
  GgufBytes gguf;
  gguf.tensor("a.weight", {32, 3}, 45, std::string(48, '\0'));
  gguf.padLast = false;
  EXPECT_TRUE(openBytes(folder, gguf.build()));
}

// ---- codecs without a number: I8 with keys ----

GgufBytes privateFile(const std::string& codec, uint64_t rowLength) {
  GgufBytes gguf;
  gguf.key("bitloom.codec.a.weight", codec).key("bitloom.row_length.a.weight", rowLength);
  gguf.tensor("a.weight", {34 * 3, 2}, test::kI8, std::string(34 * 6, '\1'));
  return gguf;
}

TEST(GgufReader, RestoresACodecThatIsStoredAsBytes) {
  const TempDir folder;
  const auto model = openBytes(folder, privateFile("q8_0", 96).build());
  ASSERT_TRUE(model) << model.error().message;
  const Tensor& tensor = (*model)->tensors()[0];
  EXPECT_EQ(tensor.codec, findCodec("q8_0"));
  EXPECT_EQ(tensor.type, "q8_0");
  EXPECT_EQ(tensor.rowLength(), 96u);
  EXPECT_EQ(tensor.rows(), 2u);
  EXPECT_EQ(tensor.bytes.size(), 204u);
}

TEST(GgufReader, ListsAPrivateCodecThatItDoesNotKnow) {
  const TempDir folder;
  const auto model = openBytes(folder, privateFile("from_the_future", 96).build());
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ((*model)->tensors()[0].codec, nullptr);
  EXPECT_EQ((*model)->tensors()[0].type, "from_the_future");
  EXPECT_EQ((*model)->tensors()[0].rowLength(), 96u);
}

TEST(GgufReader, RefusesAPrivateCodecWhoseRowsDoNotFit) {
  const TempDir folder;
  auto model = openBytes(folder, privateFile("q8_0", 64).build());
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().message,
            "m.gguf: tensor a.weight has rows of 102 bytes, but 64 weights of q8_0 take 68.");
  for (const uint64_t hostile : {uint64_t{0}, uint64_t{1} << 60, ~uint64_t{0}}) {
    model = openBytes(folder, privateFile("q8_0", hostile).build());
    ASSERT_FALSE(model) << hostile;
    EXPECT_NE(model.error().message.find("bitloom.row_length.a.weight is missing or is not"),
              std::string::npos);
  }
}

// ---- split sets ----

class SplitSet : public testing::Test {
 protected:
  std::filesystem::path partPath(uint32_t part) const {
    return folder / ("m-0000" + std::to_string(part) + "-of-00003.gguf");
  }
  GgufBytes part(uint16_t number) const {
    GgufBytes gguf;
    if (number == 1) gguf.key("general.name", "Set").key("a.key", uint32_t{7});
    gguf.key("split.no", uint16_t(number - 1)).key("split.count", uint16_t{3});
    gguf.key("split.tensors.count", int32_t{4});
    const std::string prefix = "t" + std::to_string(number);
    gguf.tensor(prefix + ".weight", {2}, test::kF32, test::floatBytes({float(number), 0}));
    if (number == 2) gguf.tensor(prefix + "b.weight", {1}, test::kF32, test::floatBytes({9}));
    return gguf;
  }
  void SetUp() override {
    for (uint16_t i = 1; i <= 3; ++i) test::writeFile(partPath(i), part(i).build());
  }
  std::string refusal(uint32_t opened) const {
    const auto model = Model::open(partPath(opened));
    return model ? "opened" : model.error().message;
  }

  TempDir folder;
};

TEST_F(SplitSet, AnyPartOpensTheWholeSetInOrder) {
  std::string fingerprint;
  for (uint32_t i = 1; i <= 3; ++i) {
    const auto opened = Model::open(partPath(i));
    ASSERT_TRUE(opened) << opened.error().message;
    const Model& model = **opened;
    ASSERT_EQ(model.tensors().size(), 4u);
    EXPECT_EQ(model.tensors()[0].name, "t1.weight");
    EXPECT_EQ(model.tensors()[2].name, "t2b.weight");
    EXPECT_EQ(model.tensors()[3].name, "t3.weight");
    EXPECT_EQ(model.name(), "Set");
    EXPECT_EQ(model.metadata().unsignedOf("a.key"), 7u);
    EXPECT_EQ(model.metadata().find("split.no"), nullptr);
    EXPECT_EQ(model.metadata().find("split.count"), nullptr);
    EXPECT_EQ(model.metadata().find("split.tensors.count"), nullptr);
    float first = 0;
    decodeRows(*model.find("t2b.weight"), 0, 1, &first);
    EXPECT_EQ(first, 9.0f);
    uint64_t bytes = 0;
    for (uint32_t j = 1; j <= 3; ++j) bytes += std::filesystem::file_size(partPath(j));
    EXPECT_EQ(model.fileBytes(), bytes);
    if (i == 1) fingerprint = model.fingerprint();
    EXPECT_EQ(model.fingerprint(), fingerprint);
  }
}

TEST_F(SplitSet, AMissingPartIsNamed) {
  std::filesystem::remove(partPath(2));
  EXPECT_EQ(refusal(1), "m-00002-of-00003.gguf, part 2 of 3 of the set, is missing.");
  EXPECT_EQ(refusal(3), "m-00002-of-00003.gguf, part 2 of 3 of the set, is missing.");
}

TEST_F(SplitSet, ARenamedPartIsRefused) {
  std::filesystem::rename(partPath(2), folder / "other.gguf");
  const auto model = Model::open(folder / "other.gguf");
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().message,
            "other.gguf is part 2 of a set of 3 files, but is not named so "
            "(NAME-00002-of-00003.gguf).");
}

TEST_F(SplitSet, MixedUpPartsAreRefused) {
  test::writeFile(partPath(3), part(2).build());
  EXPECT_EQ(refusal(1),
            "m-00003-of-00003.gguf does not say that it is part 3 of 3: the set is mixed up.");
}

TEST_F(SplitSet, ATensorInTwoPartsIsRefused) {
  GgufBytes gguf = part(3);
  gguf.tensors[0].name = "t1.weight";
  test::writeFile(partPath(3), gguf.build());
  EXPECT_EQ(refusal(1),
            "m-00001-of-00003.gguf: tensor t1.weight is in more than one part of the set.");
}

TEST_F(SplitSet, ALostTensorIsNoticed) {
  GgufBytes gguf = part(2);
  gguf.tensors.pop_back();
  test::writeFile(partPath(2), gguf.build());
  EXPECT_EQ(refusal(1),
            "m-00001-of-00003.gguf: the set has 3 tensors, but split.tensors.count says 4.");
}

TEST_F(SplitSet, ADamagedPartIsNamed) {
  test::writeFile(partPath(3), part(3).build().substr(0, 100));
  EXPECT_NE(refusal(1).find("m-00003-of-00003.gguf: the"), std::string::npos);
}

}  // namespace
}  // namespace bitloom

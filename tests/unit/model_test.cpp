// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <cmath>
#include <fstream>

#include "tests/support/gguf_bytes.h"
#include "tests/support/paths.h"
#include "tests/support/tiny_model.h"

namespace bitloom {
namespace {

using test::GgufBytes;
using test::TempDir;

std::shared_ptr<const Model> openBytes(const std::filesystem::path& path,
                                       const std::string& bytes) {
  test::writeFile(path, bytes);
  auto model = Model::open(path);
  EXPECT_TRUE(model) << model.error().message;
  return model ? *model : nullptr;
}

TEST(Model, OpensTheBuiltInModel) {
  const auto opened = Model::open(test::sourcePath("resources/models/bitloom-story-11m-f16.gguf"));
  ASSERT_TRUE(opened) << opened.error().message;
  const Model& model = **opened;
  EXPECT_EQ(model.tensors().size(), 111u);
  EXPECT_EQ(model.name(), "Bitloom Story 11M");
  EXPECT_EQ(model.sourceLabel(), "F16");
  EXPECT_EQ(model.metadata().unsignedOf("llama.block_count"), 12u);
  EXPECT_TRUE(model.warnings().empty());
  const Tensor* embedding = model.find("token_embd.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->rowLength(), 256u);
  EXPECT_EQ(embedding->rows(), 4096u);
  EXPECT_EQ(embedding->bytes.size(), 2097152u);
  EXPECT_EQ(model.indexOf(*embedding), 0u);
  EXPECT_EQ(model.fileBytes(), std::filesystem::file_size(model.path()));
}

// Of files, in bytes.
uint64_t residentFileBytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t size = 0, resident = 0, shared = 0;
  statm >> size >> resident >> shared;
  return shared * uint64_t(::sysconf(_SC_PAGESIZE));
}

TEST(Model, AReleasedTensorLeavesMemoryAndReadsTheSame) {
  const auto opened = Model::open(test::sourcePath("resources/models/bitloom-story-11m-f16.gguf"));
  ASSERT_TRUE(opened) << opened.error().message;
  const Tensor& embedding = *(*opened)->find("token_embd.weight");
  const std::vector<std::byte> copy(embedding.bytes.begin(), embedding.bytes.end());
  const uint64_t before = residentFileBytes();
  (*opened)->release(embedding);
  EXPECT_LT(residentFileBytes() + (1u << 20), before);
  EXPECT_TRUE(std::equal(copy.begin(), copy.end(), embedding.bytes.begin()));
}

TEST(Model, OpensTheSharedModelsWithTheirCounts) {
  NEEDS_SHARED("models/SmolLM2-135M-Instruct.Q4_1.gguf");
  const auto smol = Model::open(test::sharedPath("models/SmolLM2-135M-Instruct.Q4_1.gguf"));
  ASSERT_TRUE(smol) << smol.error().message;
  EXPECT_EQ((*smol)->tensors().size(), 272u);
  EXPECT_EQ((*smol)->sourceLabel(), "Q4_1 (already quantized)");
  EXPECT_EQ((*smol)->weights(), 134515008u);
  EXPECT_EQ((*smol)->find("blk.29.ffn_down.weight")->rowLength(), 1536u);
  EXPECT_EQ((*smol)->find("blk.29.ffn_down.weight")->type, "q4_1");

  const auto stories = Model::open(test::sharedPath("models/stories260K-f32.gguf"));
  ASSERT_TRUE(stories) << stories.error().message;
  EXPECT_EQ((*stories)->tensors().size(), 47u);
  EXPECT_EQ((*stories)->sourceLabel(), "F32");
  EXPECT_DOUBLE_EQ((*stories)->bitsPerWeight(), 32);
}

TEST(Model, OpensVocabularyOnlyFiles) {
  NEEDS_SHARED("tokenizers/ggml-vocab-gpt-2.gguf");
  const auto gpt2 = Model::open(test::sharedPath("tokenizers/ggml-vocab-gpt-2.gguf"));
  ASSERT_TRUE(gpt2) << gpt2.error().message;
  EXPECT_TRUE((*gpt2)->tensors().empty());
  EXPECT_EQ((*gpt2)->metadata().arrayOf("tokenizer.ggml.tokens")->size(), 50257u);
  EXPECT_EQ((*gpt2)->sourceLabel(), "no weights");
  EXPECT_EQ((*gpt2)->bitsPerWeight(), 0);
  const auto spm = Model::open(test::sharedPath("tokenizers/ggml-vocab-llama-spm.gguf"));
  ASSERT_TRUE(spm) << spm.error().message;
  EXPECT_EQ((*spm)->metadata().arrayOf("tokenizer.ggml.scores")->size(), 32000u);
}

TEST(Model, OpensATinyModelOfEveryKind) {
  const TempDir folder;
  test::TinyModelOptions options;
  options.feedForward = 172;
  const auto untied = openBytes(folder / "a.gguf", test::tinyModelBytes(options));
  ASSERT_NE(untied, nullptr);
  EXPECT_EQ(untied->tensors().size(), 21u);
  EXPECT_EQ(untied->find("blk.1.ffn_down.weight")->rowLength(), 172u);
  EXPECT_EQ(untied->find("blk.1.attn_k.weight")->rows(), 32u);
  EXPECT_EQ(untied->metadata().arrayOf("tokenizer.ggml.tokens")->size(), 64u);

  options.tiedHead = true;
  options.halfFloats = true;
  options.tokenizer = test::TinyTokenizer::Spm;
  const auto tied = openBytes(folder / "b.gguf", test::tinyModelBytes(options));
  ASSERT_NE(tied, nullptr);
  EXPECT_EQ(tied->find("output.weight"), nullptr);
  EXPECT_EQ(tied->sourceLabel(), "F16");
  EXPECT_EQ(tied->metadata().arrayOf("tokenizer.ggml.scores")->size(), 64u);
}

TEST(Model, TheSameTinyModelTwiceHasTheSameBytesAndAnotherSeedOthers) {
  EXPECT_EQ(test::tinyModelBytes(), test::tinyModelBytes());
  test::TinyModelOptions other;
  other.seed = 2;
  EXPECT_NE(test::tinyModelBytes(), test::tinyModelBytes(other));
}

TEST(Model, DecodesRowsOfF32AndOfTheSameWeightsInF16) {
  const TempDir folder;
  test::TinyModelOptions options;
  const auto full = openBytes(folder / "a.gguf", test::tinyModelBytes(options));
  options.halfFloats = true;
  const auto half = openBytes(folder / "b.gguf", test::tinyModelBytes(options));
  const Tensor& exact = *full->find("blk.0.ffn_down.weight");
  const Tensor& rounded = *half->find("blk.0.ffn_down.weight");
  std::vector<float> all(exact.weights());
  decodeRows(exact, 0, exact.rows(), all.data());
  EXPECT_EQ(std::memcmp(all.data(), exact.bytes.data(), exact.bytes.size()), 0);
  std::vector<float> some(3 * rounded.rowLength());
  decodeRows(rounded, 5, 3, some.data());
  double largest = 0;
  for (size_t i = 0; i < some.size(); ++i) {
    const float expected = all[5 * exact.rowLength() + i];
    EXPECT_NEAR(some[i], expected, std::abs(expected) * 0x1p-11f + 1e-4f);
    largest = std::max(largest, double(std::abs(expected)));
  }
  EXPECT_GT(largest, 0.1);
}

TEST(Model, DecodesRowsOfAnEncodedTensor) {
  Encoded encoded;
  encoded.codec = findCodec("f32");
  encoded.rowLength = 3;
  const std::vector<float> values = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  const auto bytes = std::as_bytes(std::span(values));
  encoded.bytes.assign(bytes.begin(), bytes.end());
  std::vector<float> rows(6);
  decodeRows(encoded, 1, 2, rows.data());
  EXPECT_EQ(rows, (std::vector<float>{4, 5, 6, 7, 8, 9}));
}

TEST(Model, TheFingerprintFollowsHeaderAndWeightsNotTheFileName) {
  const TempDir folder;
  std::string bytes = test::tinyModelBytes();
  const auto a = openBytes(folder / "a.gguf", bytes);
  const auto b = openBytes(folder / "b.gguf", bytes);
  EXPECT_EQ(a->fingerprint().size(), 64u);
  EXPECT_EQ(a->fingerprint(), b->fingerprint());
  bytes.back() = char(bytes.back() ^ 1);
  EXPECT_NE(openBytes(folder / "c.gguf", bytes)->fingerprint(), a->fingerprint());
  test::TinyModelOptions other;
  other.context = 129;
  EXPECT_NE(openBytes(folder / "d.gguf", test::tinyModelBytes(other))->fingerprint(),
            a->fingerprint());
}

TEST(Model, TheNameIsThatOfTheFileWhenItHasNone) {
  const TempDir folder;
  GgufBytes gguf;
  gguf.tensor("a.weight", {2}, test::kF32, test::floatBytes({1, 2}));
  EXPECT_EQ(openBytes(folder / "my model.gguf", gguf.build())->name(), "my model");
  gguf.key("general.name", "Named");
  EXPECT_EQ(openBytes(folder / "my model.gguf", gguf.build())->name(), "Named");
}

TEST(Model, BitsPerWeightAndLabelCountWhatIsThere) {
  const TempDir folder;
  GgufBytes gguf;
  gguf.tensor("norm.weight", {1024}, test::kF32, std::string(4096, '\0'));
  gguf.tensor("a.weight", {32, 4}, test::kQ8_0, std::string(34 * 4, '\0'));
  gguf.tensor("b.weight", {32, 2}, test::kF16, std::string(128, '\0'));
  const auto model = openBytes(folder / "m.gguf", gguf.build());
  EXPECT_EQ(model->weights(), 1024u + 128 + 64);
  EXPECT_DOUBLE_EQ(model->bitsPerWeight(), (4096 + 136 + 128) * 8.0 / (1024 + 128 + 64));
  EXPECT_EQ(model->sourceLabel(), "Q8_0 (already quantized)");
}

TEST(Model, SaysWhyAPathCannotBeOpened) {
  const TempDir folder;
  const auto missing = Model::open(folder / "no.gguf");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::NotFound);
  EXPECT_EQ(missing.error().message, (folder / "no.gguf").string() + " does not exist.");
  const auto directory = Model::open(folder.path());
  ASSERT_FALSE(directory);
  EXPECT_EQ(directory.error().message, folder.path().string() + " is a folder, not a file.");
}

}  // namespace
}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/gguf_writer.h"

#include <gtest/gtest.h>

#include "core/io/gguf_layout.h"
#include "tests/support/gguf_bytes.h"
#include "tests/support/paths.h"

namespace bitloom {
namespace {

using test::GgufBytes;
using test::TempDir;

struct TestJob {
  Workers workers{1};
  JobControl control;
  JobContext job{workers, control};
};

// A file with every type of value, odd sizes and an alignment that is not the default.
GgufBytes oddFile() {
  GgufBytes gguf;
  gguf.alignment = 64;
  gguf.key("general.architecture", "llama").key("general.alignment", uint32_t{64});
  gguf.key("a.u8", uint8_t{200}).key("a.i8", int8_t{-3}).key("a.u16", uint16_t{60000});
  gguf.key("a.i16", int16_t{-300})
      .key("a.u32", uint32_t{4000000000u})
      .key("a.i32", int32_t{-70000});
  gguf.key("a.f32", 0.1f).key("a.bool", true).key("a.u64", uint64_t{1} << 60);
  gguf.key("a.i64", int64_t{-5}).key("a.f64", 0.1).key("a.text", std::string("zeile\n\xC3\xA9"));
  gguf.key("a.texts", std::vector<std::string>{"", "x", "yz"});
  gguf.key("a.numbers", std::vector<int16_t>{-1, 2, 3})
      .key("a.floats", std::vector<float>{0.5f, -1});
  gguf.tensor("one.bias", {5}, test::kF32, test::floatBytes({1, 2, 3, 4, 5}));
  gguf.tensor("two.weight", {4, 3}, test::kF32, test::floatBytes(std::vector<float>(12, 2)));
  gguf.tensor("experts.weight", {2, 3, 2}, test::kF32, test::floatBytes(std::vector<float>(12, 3)));
  return gguf;
}

std::shared_ptr<const Model> openBytes(const std::filesystem::path& path,
                                       const std::string& bytes) {
  test::writeFile(path, bytes);
  auto model = Model::open(path);
  EXPECT_TRUE(model) << model.error().message;
  return model ? *model : nullptr;
}

std::vector<PlacedTensor> placed(const Model& model, const std::vector<uint64_t>& offsets) {
  std::vector<PlacedTensor> result;
  for (size_t i = 0; i < offsets.size(); ++i) {
    const Tensor& tensor = model.tensors()[i];
    result.push_back(
        {tensor.name, tensor.shape, tensor.dimensions, 0, offsets[i], tensor.bytes.size(), false});
  }
  return result;
}

TEST(GgufLayout, WritesAHeaderByteForByte) {
  TempDir folder;
  const GgufBytes gguf = oddFile();
  const auto model = openBytes(folder / "m.gguf", gguf.build());
  ASSERT_TRUE(model);
  EXPECT_EQ(headerBytes(model->metadata(), placed(*model, {0, 64, 128})), gguf.header());
}

TEST(GgufLayout, IsExactAndAligned) {
  TempDir folder;
  const auto model = openBytes(folder / "m.gguf", oddFile().build());
  ASSERT_TRUE(model);
  Recipe recipe;
  recipe.rules.push_back({"*", "f16", "nearest", {}, {}, false});
  const auto plan = resolve(recipe, *model);
  ASSERT_TRUE(plan) << plan.error().message;
  const auto layout = layoutOf(*model, *plan);
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->alignment, 64u);
  EXPECT_EQ(headerBytes(outputMetadata(*model, *plan, {}), layout->tensors).size(),
            layout->headerBytes);
  EXPECT_EQ(
      headerBytes(outputMetadata(*model, *plan, std::string(64, 'a')), layout->tensors).size(),
      layout->headerBytes);
  EXPECT_EQ(layout->dataStart % 64, 0u);
  EXPECT_LT(layout->dataStart - layout->headerBytes, 64u);
  EXPECT_EQ(layout->tensors[0].bytes, 20u);
  EXPECT_EQ(layout->tensors[1].bytes, 24u);
  EXPECT_EQ(layout->tensors[1].offset, 64u);
  EXPECT_EQ(layout->tensors[2].offset, 128u);
  EXPECT_EQ(layout->fileBytes, layout->dataStart + 192);
}

TEST(GgufLayout, KeepsMetadataButForSplitAndOldProvenance) {
  TempDir folder;
  GgufBytes gguf = oddFile();
  gguf.key("bitloom.version", "0.0.1").key("bitloom.codec.gone.weight", "q4_0");
  gguf.key("general.file_type", uint32_t{1}).key("a.last", uint32_t{1});
  gguf.key("split.note", uint32_t{1});
  const auto model = openBytes(folder / "m.gguf", gguf.build());
  ASSERT_TRUE(model);
  Recipe recipe;
  recipe.name = "test recipe";
  recipe.rules.push_back({"two.weight", "f16", "nearest", {}, {}, false});
  recipe.rules.push_back({"experts.weight", "bf16", "nearest", {}, {}, false});
  const auto plan = resolve(recipe, *model);
  ASSERT_TRUE(plan) << plan.error().message;
  const Metadata written = outputMetadata(*model, *plan, {});
  for (const Metadata::Entry& entry : model->metadata().entries()) {
    if (!entry.key.starts_with("a.")) continue;
    ASSERT_NE(written.find(entry.key), nullptr) << entry.key;
    EXPECT_EQ(display(*written.find(entry.key)), display(entry.value));
    EXPECT_EQ(written.find(entry.key)->type, entry.value.type);
  }
  EXPECT_EQ(written.find("split.note"), nullptr);
  EXPECT_EQ(written.find("bitloom.codec.gone.weight"), nullptr);
  EXPECT_NE(written.stringOf("bitloom.version"), "0.0.1");
  EXPECT_EQ(written.unsignedOf("general.quantization_version"), 2u);
  EXPECT_EQ(written.unsignedOf("general.file_type"), 32u) << "ties go to the first name, bf16";
  EXPECT_EQ(written.stringOf("bitloom.plan_hash"), plan->hash);
  EXPECT_EQ(written.stringOf("bitloom.source_fingerprint"), model->fingerprint());
  const auto kept = parseRecipe(*written.stringOf("bitloom.recipe"), "recipe in the file");
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_EQ(*kept, recipe);
}

TEST(GgufLayout, SizeDoesNotDependOnTheRecipesText) {
  TempDir folder;
  const auto model = openBytes(folder / "m.gguf", oddFile().build());
  ASSERT_TRUE(model);
  Recipe recipe;
  const uint64_t bytes = resolve(recipe, *model)->fileBytes;
  recipe.name = "a name of some length";
  EXPECT_EQ(resolve(recipe, *model)->fileBytes, bytes);
  recipe.name = std::string(100000, 'n');
  const auto plan = resolve(recipe, *model);
  EXPECT_EQ(plan->fileBytes, bytes);
  const Metadata written = outputMetadata(*model, *plan, {});
  EXPECT_TRUE(written.stringOf("bitloom.recipe")->starts_with("{\"sha256\":\""));
}

// Writes `count` tensors of a plan that copies everything, then lets go.
class GgufWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    m_model = openBytes(m_folder / "m.gguf", oddFile().build());
    ASSERT_TRUE(m_model);
    m_plan = *resolve(Recipe(), *m_model);
    m_layout = *layoutOf(*m_model, m_plan);
    m_header = headerBytes(outputMetadata(*m_model, m_plan, {}), m_layout.tensors);
    std::filesystem::create_directory(m_folder / "out");
  }

  Result<GgufWriter> create(const std::string& identity, bool resume) {
    return GgufWriter::create(m_target, m_header, m_layout, {identity, resume}, m_run.job);
  }
  void writeFrom(GgufWriter& writer, size_t end) {
    while (writer.next() < end) {
      const auto written = writer.write(m_model->tensors()[writer.next()].bytes, m_run.job);
      ASSERT_TRUE(written) << written.error().message;
    }
  }
  size_t filesInFolder() const {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator(m_folder / "out")) {
      ++count;
    }
    return count;
  }
  // What a killed job leaves: the files of a writer at work, copied while it holds them.
  void leaveBehind(size_t tensors) {
    auto writer = create("plan", false);
    ASSERT_TRUE(writer) << writer.error().message;
    writeFrom(*writer, tensors);
    m_part = test::readFile(m_target.string() + ".part");
    m_journal = test::readFile(m_target.string() + ".part.journal");
  }
  void restore() {
    test::writeFile(m_target.string() + ".part", m_part);
    test::writeFile(m_target.string() + ".part.journal", m_journal);
  }

  TestJob m_run;
  TempDir m_folder;
  std::filesystem::path m_target = m_folder / "out" / "o.gguf";
  std::shared_ptr<const Model> m_model;
  Plan m_plan;
  FileLayout m_layout;
  std::string m_header;
  std::string m_part, m_journal;
};

TEST_F(GgufWriterTest, NothingIsLeftWithoutCommit) {
  for (size_t tensors = 0; tensors <= 3; ++tensors) {
    {
      auto writer = create("plan", false);
      ASSERT_TRUE(writer) << writer.error().message;
      writeFrom(*writer, tensors);
      EXPECT_EQ(filesInFolder(), 2u);
    }
    EXPECT_EQ(filesInFolder(), 0u);
  }
}

TEST_F(GgufWriterTest, ACommittedFileReadsAsWritten) {
  {
    auto writer = create("plan", false);
    ASSERT_TRUE(writer) << writer.error().message;
    writeFrom(*writer, 3);
    ASSERT_TRUE(writer->finish());
    ASSERT_TRUE(writer->commit());
  }
  EXPECT_EQ(filesInFolder(), 1u);
  const auto read = Model::open(m_target);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ((*read)->fileBytes(), m_plan.fileBytes);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ((*read)->tensors()[i].name, m_model->tensors()[i].name);
    EXPECT_TRUE(std::equal((*read)->tensors()[i].bytes.begin(), (*read)->tensors()[i].bytes.end(),
                           m_model->tensors()[i].bytes.begin()));
  }
}

TEST_F(GgufWriterTest, ResumesWhatTheJournalProves) {
  leaveBehind(2);
  restore();
  EXPECT_EQ(create("plan", true)->next(), 2u);
  restore();
  EXPECT_EQ(create("plan", false)->next(), 0u) << "not asked to resume";
  restore();
  EXPECT_EQ(create("another plan", true)->next(), 0u);
  m_journal.resize(m_journal.size() - 10);  // a torn line
  restore();
  EXPECT_EQ(create("plan", true)->next(), 1u);
  leaveBehind(2);
  m_part[m_layout.dataStart + m_layout.tensors[0].offset] ^= 1;
  restore();
  EXPECT_EQ(create("plan", true)->next(), 0u) << "data that differs from its digest";
  leaveBehind(2);
  m_part[8] ^= 1;
  restore();
  EXPECT_EQ(create("plan", true)->next(), 0u) << "another header";
  leaveBehind(2);
  m_part.resize(m_layout.dataStart + 64);
  restore();
  EXPECT_EQ(create("plan", true)->next(), 1u) << "data that never reached the disk";
}

TEST_F(GgufWriterTest, RefusesASecondWriterOfTheSameFile) {
  auto writer = create("plan", false);
  ASSERT_TRUE(writer);
  const auto second = create("plan", false);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("o.gguf.part"), std::string::npos)
      << second.error().message;
  writeFrom(*writer, 3);
  EXPECT_TRUE(writer->finish());
}

TEST_F(GgufWriterTest, StopsWhenCancelled) {
  auto writer = create("plan", false);
  ASSERT_TRUE(writer);
  m_run.control.cancel();
  EXPECT_EQ(writer->write(m_model->tensors()[0].bytes, m_run.job).error().code,
            ErrorCode::Cancelled);
}

}  // namespace
}  // namespace bitloom

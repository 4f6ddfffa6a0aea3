// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/exporter.h"

#include <gtest/gtest.h>

#include "tests/support/paths.h"
#include "tests/support/tiny_model.h"

namespace bitloom {
namespace {

using test::TempDir;

class Exporters : public testing::Test {
 protected:
  void SetUp() override {
    test::TinyModelOptions options;
    options.feedForward = 172;
    auto opened = Model::open(test::writeTinyModel(m_folder / "tiny.gguf", options));
    ASSERT_TRUE(opened) << opened.error().message;
    m_model = *opened;
  }
  ExportCheck check(const char* exporter, const Recipe& recipe) {
    const auto result = findExporter(exporter)->check(recipe, *m_model);
    EXPECT_TRUE(result) << result.error().message;
    return result ? *result : ExportCheck{};
  }
  std::string codecIn(const ExportCheck& result, const std::string& tensor) {
    const Choice& choice = result.plan.tensors[m_model->indexOf(*m_model->find(tensor))];
    return choice.effective ? std::string(choice.effective->name) : "copied";
  }
  static Recipe uniform(const char* codec, const char* profile = "thetom") {
    Recipe recipe = uniformRecipe(*findCodec(codec));
    recipe.profile = profile;
    return recipe;
  }

  TempDir m_folder;
  std::shared_ptr<const Model> m_model;
};

bool contains(const std::vector<std::string>& list, const std::string& part) {
  for (const std::string& text : list) {
    if (text.find(part) != std::string::npos) return true;
  }
  return false;
}

TEST_F(Exporters, WriteFilesWhoseTypesTheirProfileKnows) {
  for (const Exporter* exporter : exporters()) {
    for (const Codec* codec : codecs()) {
      for (const RuntimeProfile& profile : runtimeProfiles()) {
        Recipe recipe = uniformRecipe(*codec);
        recipe.profile = profile.name;
        const auto result = exporter->check(recipe, *m_model);
        ASSERT_TRUE(result) << result.error().message;
        const RuntimeProfile* written = findProfile(result->recipe.profile);
        ASSERT_NE(written, nullptr);
        for (const Choice& choice : result->plan.tensors) {
          const Tensor& tensor = m_model->tensors()[choice.tensor];
          EXPECT_NE(written->find(choice.effective ? choice.effective->name : tensor.type), nullptr)
              << exporter->name << " " << codec->name << " " << tensor.name;
        }
        EXPECT_FALSE(result->loads.empty());
        EXPECT_NE(result->command.find("%f"), std::string::npos);
      }
    }
  }
}

TEST_F(Exporters, MainlineReplacesTq3BySomethingOfNearestSizeAndSaysSo) {
  const ExportCheck result = check("gguf-mainline", uniform("tq3_1s"));
  EXPECT_EQ(codecIn(result, "blk.0.attn_q.weight"), "iq4_nl");
  EXPECT_EQ(codecIn(result, "blk.0.ffn_down.weight"), "f16") << "rows of 172, kept";
  EXPECT_EQ(codecIn(result, "blk.0.attn_norm.weight"), "copied");
  EXPECT_TRUE(contains(result.changes, "blk.0.attn_q.weight: tq3_1s → iq4_nl"));
  EXPECT_FALSE(contains(result.changes, "ffn_down"));
  EXPECT_TRUE(contains(result.loads, "Ollama"));
  EXPECT_TRUE(contains(result.loads, "llama-cpp-turboquant"));
  EXPECT_TRUE(result.refuses.empty());
  const ExportCheck five = check("gguf-mainline", uniform("tq4_1s"));
  EXPECT_EQ(codecIn(five, "blk.0.attn_q.weight"), "q4_1");
  EXPECT_TRUE(check("gguf-mainline", uniform("q8_0")).changes.empty());
}

TEST_F(Exporters, TqKeepsTheTypesOfOneForkAndNamesWhoRefusesThem) {
  const ExportCheck thetom = check("gguf-tq", uniform("tq3_1s"));
  EXPECT_EQ(codecIn(thetom, "blk.0.attn_q.weight"), "tq3_1s");
  EXPECT_TRUE(thetom.changes.empty());
  EXPECT_EQ(thetom.loads, std::vector<std::string>{"llama-cpp-turboquant (TheTom)"});
  EXPECT_TRUE(contains(thetom.refuses, "Ollama: it has no TQ3_1S"));
  EXPECT_TRUE(contains(thetom.refuses, "turbo-tan): it gives TQ3_1S number 44 instead of 45"));

  const ExportCheck turboTan = check("gguf-tq", uniform("tq4_1s", "turbo-tan"));
  EXPECT_EQ(turboTan.recipe.profile, "turbo-tan");
  EXPECT_EQ(codecIn(turboTan, "blk.0.attn_q.weight"), "q4_1");
  EXPECT_EQ(check("gguf-tq", uniform("tq3_1s", "mainline")).recipe.profile, "thetom");

  const ExportCheck own = check("gguf-tq", uniform("tq3_1b4"));
  EXPECT_NE(codecIn(own, "blk.0.attn_q.weight"), "tq3_1b4");
  EXPECT_TRUE(contains(own.changes, "blk.0.attn_q.weight: tq3_1b4 → tq3_1s"));
}

TEST_F(Exporters, TheWrittenFileIsTheCheckedPlan) {
  for (const Exporter* exporter : exporters()) {
    const ExportCheck result = check(std::string(exporter->name).c_str(), uniform("tq3_1b4"));
    Workers workers(2);
    JobControl control;
    JobContext job(workers, control);
    const auto summary = exporter->write(result, *m_model, nullptr, m_folder / "out.gguf", job);
    ASSERT_TRUE(summary) << summary.error().message;
    const auto read = Model::open(m_folder / "out.gguf");
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ((*read)->fileBytes(), result.plan.fileBytes);
    EXPECT_EQ((*read)->metadata().find("bitloom.codec.blk.0.attn_q.weight"), nullptr);
    EXPECT_EQ((*read)->metadata().stringOf("bitloom.profile"), result.recipe.profile);
    EXPECT_EQ((*read)->find("blk.0.attn_q.weight")->type, codecIn(result, "blk.0.attn_q.weight"));
  }
}

}  // namespace
}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/architecture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "tests/support/gguf_bytes.h"
#include "tests/support/paths.h"
#include "tests/support/small_transformer.h"

namespace bitloom {
namespace {

using test::SmallTransformer;

class Architectures : public testing::Test {
 protected:
  std::shared_ptr<const Model> open(const std::string& bytes) {
    const auto path = m_dir / "model.gguf";
    test::writeFile(path, bytes);
    auto model = Model::open(path);
    EXPECT_TRUE(model) << model.error().message;
    return *model;
  }

  std::string refusal(const std::string& bytes, ErrorCode code) {
    const auto graph = buildGraph(*open(bytes));
    EXPECT_FALSE(graph);
    if (graph) return {};
    EXPECT_EQ(graph.error().code, code) << graph.error().message;
    return graph.error().message;
  }

  test::TempDir m_dir;
};

// A header with every required key and one square tensor, to be spoilt.
test::GgufBytes header(const std::string& architecture, uint32_t heads = 4) {
  test::GgufBytes gguf;
  const std::string a = architecture + ".";
  gguf.key("general.architecture", architecture)
      .key(a + "block_count", uint32_t{1})
      .key(a + "context_length", uint32_t{64})
      .key(a + "embedding_length", uint32_t{8})
      .key(a + "feed_forward_length", uint32_t{8})
      .key(a + "attention.head_count", heads)
      .key(a + "attention.layer_norm_rms_epsilon", 1e-5f);
  gguf.tensor("token_embd.weight", {8, 8}, test::kF32, std::string(256, '\0'));
  return gguf;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(Architectures, KnownOnesAreOnTheShelf) {
  for (const char* name : {"llama", "qwen2", "qwen3"}) {
    ASSERT_NE(findArchitecture(name), nullptr) << name;
    EXPECT_EQ(findArchitecture(name)->name, name);
  }
}

TEST_F(Architectures, GraphNamesEveryPointOnceAndKeepsBlocksInOrder) {
  const auto model = open(SmallTransformer({.blocks = 3}).ggufBytes());
  const auto graph = buildGraph(*model);
  ASSERT_TRUE(graph) << graph.error().message;
  std::set<std::string> names;
  for (const Point& point : graph->points) EXPECT_TRUE(names.insert(point.name).second);
  for (const char* name : {"blk.2.attn_in", "blk.2.attn_output_in", "blk.2.ffn_in",
                           "blk.2.ffn_down_in", "head_in", "logits"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
  EXPECT_TRUE(std::is_sorted(graph->ops.begin(), graph->ops.end(),
                             [](const Op& a, const Op& b) { return a.block < b.block; }));
  EXPECT_EQ(graph->ops.front().kind, OpKind::Embed);
  EXPECT_EQ(graph->ops.back().output, graph->logits);
  EXPECT_EQ(graph->blocks, 3u);
  EXPECT_EQ(graph->vocabulary, 50u);
  EXPECT_EQ(graph->kvHeads, 2u);
}

TEST_F(Architectures, EveryTensorHasItsRoleBlockAndGroup) {
  const auto model = open(SmallTransformer({.biases = true}).ggufBytes());
  const auto graph = buildGraph(*model);
  ASSERT_TRUE(graph) << graph.error().message;
  const auto part = [&](const char* name) {
    return graph->parts[model->indexOf(*model->find(name))];
  };
  ASSERT_EQ(graph->parts.size(), model->tensors().size());
  EXPECT_EQ(part("token_embd.weight").role, "token_embd");
  EXPECT_EQ(part("token_embd.weight").block, -1);
  EXPECT_EQ(part("blk.1.attn_k.weight").role, "attn_k");
  EXPECT_EQ(part("blk.1.attn_k.weight").block, 1);
  EXPECT_EQ(part("blk.1.attn_k.weight").group, "blk.1.qkv");
  EXPECT_EQ(part("blk.0.ffn_gate.weight").group, "blk.0.gate_up");
  EXPECT_EQ(part("blk.0.ffn_down.weight").group, "");
  EXPECT_EQ(part("blk.0.attn_norm.weight").role, "");
  EXPECT_EQ(part("blk.0.attn_q.bias").role, "");
  EXPECT_EQ(part("blk.0.attn_q.bias").group, "");
  EXPECT_EQ(part("output.weight").role, "output");
  EXPECT_EQ(part("output.weight").block, 2);
  EXPECT_EQ(graph->roles.front(), "token_embd");
  EXPECT_EQ(graph->roles.back(), "output");
}

TEST_F(Architectures, TiedHeadReadsTheEmbedding) {
  const auto model = open(SmallTransformer({.tiedHead = true}).ggufBytes());
  const auto graph = buildGraph(*model);
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_TRUE(graph->tiedHead);
  EXPECT_EQ(graph->ops.back().weight, graph->ops.front().weight);
  EXPECT_EQ(std::count(graph->roles.begin(), graph->roles.end(), "output"), 0);
}

TEST_F(Architectures, UnknownArchitectureIsRefusedWithTheKnownOnes) {
  const std::string text = refusal(header("mamba").build(), ErrorCode::Unsupported);
  EXPECT_TRUE(contains(text, "\"mamba\"")) << text;
  EXPECT_TRUE(contains(text, "llama, qwen2, qwen3")) << text;
}

TEST_F(Architectures, ExpertsAreRefused) {
  auto gguf = header("llama");
  gguf.key("llama.expert_count", uint32_t{8});
  const std::string text = refusal(gguf.build(), ErrorCode::Unsupported);
  EXPECT_TRUE(contains(text, "llama.expert_count is 8")) << text;
}

TEST_F(Architectures, MissingKeyIsNamed) {
  test::GgufBytes gguf;
  gguf.key("general.architecture", "llama").key("llama.block_count", uint32_t{1});
  gguf.tensor("token_embd.weight", {8, 8}, test::kF32, std::string(256, '\0'));
  const std::string text = refusal(gguf.build(), ErrorCode::Corrupt);
  EXPECT_TRUE(contains(text, "llama.embedding_length is missing")) << text;
}

TEST_F(Architectures, MissingTensorIsNamed) {
  const std::string text = refusal(header("llama").build(), ErrorCode::Corrupt);
  EXPECT_TRUE(contains(text, "blk.0.attn_norm.weight is missing")) << text;
}

TEST_F(Architectures, MisshapenTensorIsNamedWithBothShapes) {
  auto gguf = header("llama");
  gguf.tensor("blk.0.attn_norm.weight", {7}, test::kF32, std::string(28, '\0'));
  const std::string text = refusal(gguf.build(), ErrorCode::Corrupt);
  EXPECT_TRUE(contains(text, "blk.0.attn_norm.weight is 7 × 1, where 8 × 1 is expected")) << text;
}

TEST_F(Architectures, StrangeTensorInABlockIsRefused) {
  // A qwen3 file under another name: its head norms would be left out.
  std::string bytes = SmallTransformer({.architecture = "qwen3"}).ggufBytes();
  for (size_t at = 0; (at = bytes.find("qwen3", at)) != std::string::npos;) {
    bytes.replace(at, 5, "qwen2");
  }
  const std::string text = refusal(bytes, ErrorCode::Unsupported);
  EXPECT_TRUE(contains(text, "attn_q_norm.weight")) << text;
  EXPECT_TRUE(contains(text, "qwen2")) << text;
}

TEST_F(Architectures, NumbersThatCannotBeAreRefused) {
  struct Case {
    const char* part;
    std::function<void(test::GgufBytes&)> spoil;
    ErrorCode code = ErrorCode::Corrupt;
  };
  const std::vector<Case> cases = {
      {"head_count_kv is 0", [](auto& g) { g.key("llama.attention.head_count_kv", uint32_t{0}); }},
      {"4 attention heads cannot share 3",
       [](auto& g) { g.key("llama.attention.head_count_kv", uint32_t{3}); }},
      {"key_length is", [](auto& g) { g.key("llama.attention.key_length", uint64_t{1} << 40); }},
      {"values are more than",
       [](auto& g) { g.key("llama.attention.key_length", uint32_t{1u << 23}); }},
      {"dimension_count", [](auto& g) { g.key("llama.rope.dimension_count", uint32_t{16}); }},
      {"rope.freq_base", [](auto& g) { g.key("llama.rope.freq_base", -1.0f); }},
      {"\"longrope\"", [](auto& g) { g.key("llama.rope.scaling.type", "longrope"); },
       ErrorCode::Unsupported},
      {"differs between blocks",
       [](auto& g) {
         g.key("llama.attention.head_count_kv", std::vector<uint32_t>{4, 2});
       },
       ErrorCode::Unsupported}};
  for (const Case& c : cases) {
    auto gguf = header("llama");
    c.spoil(gguf);
    const std::string text = refusal(gguf.build(), c.code);
    EXPECT_TRUE(contains(text, c.part)) << text;
  }
}

TEST_F(Architectures, MissingArchitectureKeyIsSaid) {
  test::GgufBytes gguf;
  gguf.key("general.name", "nameless");
  gguf.tensor("token_embd.weight", {8, 8}, test::kF32, std::string(256, '\0'));
  // The reader may refuse such a file before the graph does.
  const auto path = m_dir / "nameless.gguf";
  test::writeFile(path, gguf.build());
  const auto model = Model::open(path);
  const auto graph = model ? buildGraph(**model) : Result<Graph>(model.error());
  ASSERT_FALSE(graph);
  EXPECT_TRUE(contains(graph.error().message, "general.architecture")) << graph.error().message;
}

}  // namespace
}  // namespace bitloom

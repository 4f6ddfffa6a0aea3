// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/architectures/transformer/transformer.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

#include "core/architectures/transformer/hyper_parameters.h"
#include "core/base/strings.h"

namespace bitloom {
namespace {

constexpr std::string_view kRoles[] = {"token_embd", "attn_q", "attn_k",   "attn_v", "attn_output",
                                       "ffn_gate",   "ffn_up", "ffn_down", "output"};

class Builder {
 public:
  Builder(const Model& model, const TransformerTraits& traits, const HyperParameters& numbers)
      : m_model(model), m_traits(traits), m_numbers(numbers) {}

  Result<Graph> build();

 private:
  int point(std::string name, uint32_t width);
  Op& op(OpKind kind, int input, int output);
  Result<int> tensor(const std::string& name, uint64_t rowLength, uint64_t rows);
  Result<int> optionalTensor(const std::string& name, uint64_t rowLength);
  Result<int> norm(const std::string& name, int input, int output, uint32_t groupWidth);
  Result<int> linear(const std::string& name, int input, int output);
  Result<void> embedding();
  Result<void> attention(const std::string& prefix);
  Result<void> rotate(const std::string& prefix, const std::string& name, int heads,
                      uint32_t count);
  Result<void> feedForward(const std::string& prefix);
  Result<void> head();
  Result<void> findFactors();
  void addResidual(int update);
  void describeParts();
  Result<void> refuseStrangers() const;

  template <typename... Parts>
  Error error(ErrorCode code, const Parts&... parts) const {
    return makeError(code, m_model.path().filename().string(), ": ", parts...);
  }

  const Model& m_model;
  const TransformerTraits& m_traits;
  const HyperParameters& m_numbers;
  Graph m_graph;
  int m_block = kNone;
  int m_factors = kNone;
  std::vector<bool> m_used;
};

int Builder::point(std::string name, uint32_t width) {
  m_graph.points.push_back({std::move(name), width});
  return static_cast<int>(m_graph.points.size()) - 1;
}

Op& Builder::op(OpKind kind, int input, int output) {
  Op& added = m_graph.ops.emplace_back();
  added.kind = kind;
  added.block = m_block;
  added.input = input;
  added.output = output;
  return added;
}

Result<int> Builder::tensor(const std::string& name, uint64_t rowLength, uint64_t rows) {
  const Tensor* found = m_model.find(name);
  if (found == nullptr) return error(ErrorCode::Corrupt, "the tensor ", name, " is missing.");
  if (found->rowLength() != rowLength || found->rows() != rows) {
    return error(ErrorCode::Corrupt, "the tensor ", name, " is ", found->rowLength(), " × ",
                 found->rows(), ", where ", rowLength, " × ", rows, " is expected.");
  }
  const size_t index = m_model.indexOf(*found);
  m_used[index] = true;
  return static_cast<int>(index);
}

Result<int> Builder::optionalTensor(const std::string& name, uint64_t rowLength) {
  if (m_model.find(name) == nullptr) return kNone;
  return tensor(name, rowLength, 1);
}

Result<int> Builder::norm(const std::string& name, int input, int output, uint32_t groupWidth) {
  TRY(const int weight, tensor(name + ".weight", groupWidth, 1));
  Op& added = op(OpKind::Norm, input, output);
  added.weight = weight;
  added.groupWidth = groupWidth;
  added.epsilon = m_numbers.epsilon;
  return output;
}

Result<int> Builder::linear(const std::string& name, int input, int output) {
  const uint32_t in = m_graph.points[static_cast<size_t>(input)].width;
  const uint32_t out = m_graph.points[static_cast<size_t>(output)].width;
  TRY(const int weight, tensor(name + ".weight", in, out));
  TRY(const int bias, optionalTensor(name + ".bias", out));
  Op& added = op(OpKind::Linear, input, output);
  added.weight = weight;
  added.bias = bias;
  return output;
}

void Builder::addResidual(int update) {
  op(OpKind::Add, m_graph.stream, m_graph.stream).input2 = update;
}

Result<void> Builder::embedding() {
  const Tensor* table = m_model.find("token_embd.weight");
  if (table == nullptr) {
    return error(ErrorCode::Corrupt, "the tensor token_embd.weight is missing.");
  }
  if (table->rows() == 0 || table->rows() > (1u << 24)) {
    return error(ErrorCode::Corrupt, "the tensor token_embd.weight has ", table->rows(),
                 " rows, where a vocabulary of 1 to ", 1u << 24, " is expected.");
  }
  m_graph.vocabulary = static_cast<uint32_t>(table->rows());
  TRY(const int weight, tensor("token_embd.weight", m_numbers.width, m_graph.vocabulary));
  m_graph.stream = point("stream", m_numbers.width);
  op(OpKind::Embed, kNone, m_graph.stream).weight = weight;
  return {};
}

// rope_freqs.weight holds a divisor for each pair's frequency (Llama 3.1 and later).
Result<void> Builder::findFactors() {
  TRY(m_factors, optionalTensor("rope_freqs.weight", m_numbers.rope.rotated / 2));
  return {};
}

Result<void> Builder::rotate(const std::string& prefix, const std::string& name, int heads,
                             uint32_t count) {
  if (m_traits.headNorms) {
    TRY(norm(prefix + name + "_norm", heads, heads, m_numbers.keyLength));
  }
  Op& added = op(OpKind::Rope, heads, heads);
  added.heads = count;
  added.headWidth = m_numbers.keyLength;
  added.rope = m_numbers.rope;
  added.rope.style = m_traits.ropeStyle;
  added.rope.factorsTensor = m_factors;
  return {};
}

Result<void> Builder::attention(const std::string& prefix) {
  const HyperParameters& n = m_numbers;
  const int in = point(prefix + "attn_in", n.width);
  TRY(norm(prefix + "attn_norm", m_graph.stream, in, n.width));
  TRY(const int q, linear(prefix + "attn_q", in, point(prefix + "q", n.heads * n.keyLength)));
  TRY(const int k, linear(prefix + "attn_k", in, point(prefix + "k", n.kvHeads * n.keyLength)));
  TRY(const int v, linear(prefix + "attn_v", in, point(prefix + "v", n.kvHeads * n.valueLength)));
  TRY(rotate(prefix, "attn_q", q, n.heads));
  TRY(rotate(prefix, "attn_k", k, n.kvHeads));
  const int mixed = point(prefix + "attn_output_in", n.heads * n.valueLength);
  Op& added = op(OpKind::Attention, q, mixed);
  added.input2 = k;
  added.input3 = v;
  added.heads = n.heads;
  added.kvHeads = n.kvHeads;
  added.headWidth = n.keyLength;
  added.valueWidth = n.valueLength;
  added.factor = static_cast<float>(1 / std::sqrt(double(n.keyLength)));
  TRY(const int out, linear(prefix + "attn_output", mixed, point(prefix + "attn_out", n.width)));
  addResidual(out);
  return {};
}

Result<void> Builder::feedForward(const std::string& prefix) {
  const HyperParameters& n = m_numbers;
  const int in = point(prefix + "ffn_in", n.width);
  TRY(norm(prefix + "ffn_norm", m_graph.stream, in, n.width));
  TRY(const int gate, linear(prefix + "ffn_gate", in, point(prefix + "gate", n.feedForward)));
  TRY(const int up, linear(prefix + "ffn_up", in, point(prefix + "up", n.feedForward)));
  const int gated = point(prefix + "ffn_down_in", n.feedForward);
  Op& added = op(OpKind::ActivationGate, gate, gated);
  added.input2 = up;
  added.activation = Activation::Silu;
  TRY(const int out, linear(prefix + "ffn_down", gated, point(prefix + "ffn_out", n.width)));
  addResidual(out);
  return {};
}

Result<void> Builder::head() {
  const int in = point("head_in", m_numbers.width);
  TRY(norm("output_norm", m_graph.stream, in, m_numbers.width));
  m_graph.logits = point("logits", m_graph.vocabulary);
  m_graph.tiedHead = m_model.find("output.weight") == nullptr;
  if (!m_graph.tiedHead) {
    TRY(linear("output", in, m_graph.logits));
    return {};
  }
  TRY(const int weight, tensor("token_embd.weight", m_numbers.width, m_graph.vocabulary));
  TRY(const int bias, optionalTensor("output.bias", m_graph.vocabulary));
  Op& added = op(OpKind::Linear, in, m_graph.logits);
  added.weight = weight;
  added.bias = bias;
  return {};
}

// "blk.12.attn_q.weight" → 12; −1 without such a number.
int blockOf(std::string_view name) {
  if (!name.starts_with("blk.")) return kNone;
  name.remove_prefix(4);
  int block = kNone;
  const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), block);
  const bool whole = code == std::errc() && end != name.data() + name.size() && *end == '.';
  return whole && block >= 0 ? block : kNone;
}

std::string_view roleOf(std::string_view name) {
  if (!name.ends_with(".weight")) return {};
  name.remove_suffix(std::string_view(".weight").size());
  name = name.substr(name.find_last_of('.') + 1);
  const auto* found = std::find(std::begin(kRoles), std::end(kRoles), name);
  return found == std::end(kRoles) ? std::string_view() : *found;
}

void Builder::describeParts() {
  for (const Tensor& tensor : m_model.tensors()) {
    Part& part = m_graph.parts.emplace_back();
    part.block = blockOf(tensor.name);
    if (tensor.name.starts_with("output")) part.block = static_cast<int>(m_numbers.blocks);
    part.role = roleOf(tensor.name);
    const std::string prefix = strCat("blk.", part.block, ".");
    if (part.role == "attn_q" || part.role == "attn_k" || part.role == "attn_v") {
      part.group = prefix + "qkv";
    } else if (part.role == "ffn_gate" || part.role == "ffn_up") {
      part.group = prefix + "gate_up";
    }
  }
  for (std::string_view role : kRoles) {
    if (role != "output" || !m_graph.tiedHead) m_graph.roles.emplace_back(role);
  }
}

// Tensors in a block that nothing reads would be left out of the computation in silence. Old
// converters stored the rotation's angles; those are computed here.
Result<void> Builder::refuseStrangers() const {
  for (size_t i = 0; i < m_used.size(); ++i) {
    const std::string& name = m_model.tensors()[i].name;
    const bool parameter = name.ends_with(".weight") || name.ends_with(".bias");
    if (m_used[i] || blockOf(name) == kNone || !parameter) continue;
    if (name.ends_with(".attn_rot_embd.weight")) continue;
    return error(ErrorCode::Unsupported, "the tensor ", name, " has no place in the architecture ",
                 *m_model.metadata().stringOf("general.architecture"),
                 " as this version computes it.");
  }
  return {};
}

Result<Graph> Builder::build() {
  m_used.resize(m_model.tensors().size());
  m_graph.width = m_numbers.width;
  m_graph.blocks = m_numbers.blocks;
  m_graph.contextLength = m_numbers.contextLength;
  m_graph.kvHeads = m_numbers.kvHeads;
  m_graph.headWidth = m_numbers.keyLength;
  TRY(embedding());
  TRY(findFactors());
  for (m_block = 0; m_block < static_cast<int>(m_numbers.blocks); ++m_block) {
    const std::string prefix = strCat("blk.", m_block, ".");
    TRY(attention(prefix));
    TRY(feedForward(prefix));
  }
  TRY(head());
  TRY(refuseStrangers());
  describeParts();
  return std::move(m_graph);
}

}  // namespace

Result<Graph> buildTransformer(const Model& model, const TransformerTraits& traits) {
  TRY(const HyperParameters numbers, readHyperParameters(model));
  return Builder(model, traits, numbers).build();
}

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// How a model computes, as a flat list of ops from a small closed set. An architecture file emits
// it and holds no arithmetic; CPU, Vulkan, calibration taps and the live loop all interpret it, and
// none of them knows a family by name.
//
// Ops read and write *points*: named edges that carry one vector of `width` floats per token
// ("blk.3.attn_in", "blk.3.ffn_down_in"). Ops are grouped by block: −1 for what comes before the
// first (embedding), 0 … blocks−1, and `blocks` for what comes after the last (final norm, head).
// The residual stream at a block border is all that one block hands to the next: point `stream`.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bitloom {

enum class OpKind {
  Embed,           // token ids → output; weight: vocabulary × width
  Norm,            // RMS norm over each `groupWidth` values of input; weight: groupWidth
  Linear,          // output = weight · input (+ bias); weight: out × in
  Rope,            // rotates input in place of output; heads × headWidth
  Attention,       // inputs: q, k, v → output; causal, grouped query heads
  ActivationGate,  // output = activation(input) · input2
  Add,             // output = input + input2
  Scale,           // output = factor · input
};

enum class Activation { Silu, Gelu };
enum class RopeStyle { AdjacentPairs, HalfSplit };  // (2i, 2i+1) or (i, i + width/2)

constexpr int kNone = -1;

struct RopeParameters {
  RopeStyle style = RopeStyle::AdjacentPairs;
  uint32_t rotated = 0;  // leading values of each head that are rotated
  double base = 10000;
  double frequencyScale = 1;  // linear scaling: angle × this
  // YaRN (arXiv 2309.00071); factor 1 switches it off.
  double yarnFactor = 1;
  double yarnAttention = 1;
  double yarnBetaFast = 32;
  double yarnBetaSlow = 1;
  uint32_t originalContext = 0;
  int factorsTensor = kNone;  // rope_freqs.weight: divisors for each pair's frequency
};

struct Op {
  OpKind kind = OpKind::Add;
  int block = kNone;
  int input = kNone;   // point index
  int input2 = kNone;  // k of Attention, right side of Add and ActivationGate
  int input3 = kNone;  // v of Attention
  int output = kNone;
  int weight = kNone;  // index in Model::tensors()
  int bias = kNone;
  float epsilon = 0;        // Norm
  float factor = 1;         // Scale; multiplier of q·k for Attention
  uint32_t groupWidth = 0;  // Norm
  uint32_t heads = 0;       // Rope, Attention (query heads)
  uint32_t kvHeads = 0;     // Attention
  uint32_t headWidth = 0;   // Rope, Attention (of k)
  uint32_t valueWidth = 0;  // Attention
  Activation activation = Activation::Silu;
  RopeParameters rope;
};

struct Point {
  std::string name;
  uint32_t width = 0;
};

// What a tensor does, for the heatmap's axes and for constraint groups.
struct Part {
  int block = kNone;  // −1 before the blocks, `blocks` after them
  std::string role;   // attn_q, …, token_embd, output, or "" for norms and tables
  std::string group;  // tensors of one group that some runtimes fuse: "blk.3.qkv", or ""
};

struct Graph {
  uint32_t vocabulary = 0;
  uint32_t width = 0;  // of the residual stream
  uint32_t blocks = 0;
  uint32_t contextLength = 0;  // trained
  uint32_t kvHeads = 0;        // widest layer, for cache sizes
  uint32_t headWidth = 0;
  bool tiedHead = false;  // head and embedding are one tensor
  int stream = kNone;     // point: the residual stream
  int logits = kNone;     // point: the output
  std::vector<Point> points;
  std::vector<Op> ops;             // in the order of execution
  std::vector<Part> parts;         // one for each of Model::tensors()
  std::vector<std::string> roles;  // rows of the heatmap, in the order of use
};

}  // namespace bitloom

// SPDX-License-Identifier: GPL-3.0-or-later
// A llama-architecture model of a few ten thousand random weights, written as a GGUF file, for
// tests that need a whole model: same options, same bytes.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace bitloom::test {

enum class TinyTokenizer { ByteBpe, Spm };

struct TinyModelOptions {
  uint32_t seed = 1;
  uint32_t blocks = 2;
  uint32_t vocabulary = 64;  // at least 64
  uint32_t width = 64;       // heads × headWidth
  uint32_t heads = 4;
  uint32_t kvHeads = 2;
  uint32_t feedForward = 96;  // 172 for rows that 32 does not divide
  uint32_t context = 128;
  bool tiedHead = false;
  bool halfFloats = false;  // 2-D weights as F16 instead of F32; 1-D stay F32
  TinyTokenizer tokenizer = TinyTokenizer::ByteBpe;
};

// Vocabulary. ByteBpe: ids 0 … 2 are <|endoftext|> (BOS), <|im_start|>, <|im_end|> (EOS) with a
// ChatML template; then space, newline, a … z, some capitals, digits and marks, and the merges
// "th", "he", "in", "an", "er", " t", " a", " th", " the". Spm: <unk>, <s>, </s>, then the same
// letters and pieces with scores.
std::string tinyModelBytes(const TinyModelOptions& options = {});
std::filesystem::path writeTinyModel(const std::filesystem::path& path,
                                     const TinyModelOptions& options = {});

}  // namespace bitloom::test

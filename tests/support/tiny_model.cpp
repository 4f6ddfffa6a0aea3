// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/tiny_model.h"

#include <cmath>
#include <stdexcept>

#include "tests/support/gguf_bytes.h"
#include "tests/support/paths.h"

namespace bitloom::test {
namespace {

// splitmix64 (Steele, Lea, Flood 2014): the same numbers with every standard library.
class Random {
 public:
  explicit Random(uint64_t seed) : m_state(seed) {}

  // Nearly normal: the sum of twelve uniform numbers has variance 1.
  float normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += double(next() >> 11) * 0x1p-53;
    return float(sum);
  }

 private:
  uint64_t next() {
    uint64_t z = (m_state += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  uint64_t m_state;
};

// Nearest half, ties to even; what is below the normal range becomes zero.
uint16_t halfBits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude < 0x38800000) return uint16_t(sign);
  const uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
  return uint16_t(sign | ((rounded - 0x38000000) >> 13));
}

class Writer {
 public:
  explicit Writer(const TinyModelOptions& options)
      : m_options(options), m_random(options.seed * 0x1000003ull + 17) {}

  std::string bytes() {
    writeKeys();
    writeTokenizer();
    const uint64_t width = m_options.width;
    const uint64_t kvWidth = uint64_t{m_options.kvHeads} * (width / m_options.heads);
    const uint64_t inner = m_options.feedForward;
    matrix("token_embd.weight", width, m_options.vocabulary, 0.5);
    for (uint32_t i = 0; i < m_options.blocks; ++i) {
      const std::string block = "blk." + std::to_string(i) + ".";
      norm(block + "attn_norm.weight");
      matrix(block + "attn_q.weight", width, width, 1.5);
      matrix(block + "attn_k.weight", width, kvWidth, 1.5);
      matrix(block + "attn_v.weight", width, kvWidth, 1);
      matrix(block + "attn_output.weight", width, width, 1);
      norm(block + "ffn_norm.weight");
      matrix(block + "ffn_gate.weight", width, inner, 1);
      matrix(block + "ffn_up.weight", width, inner, 1);
      matrix(block + "ffn_down.weight", inner, width, 1);
    }
    norm("output_norm.weight");
    if (!m_options.tiedHead) matrix("output.weight", width, m_options.vocabulary, 3);
    return m_gguf.build();
  }

 private:
  void writeKeys() {
    m_gguf.key("general.architecture", "llama")
        .key("general.name", "Tiny " + std::to_string(m_options.seed))
        .key("general.file_type", uint32_t(m_options.halfFloats ? 1 : 0))
        .key("llama.context_length", m_options.context)
        .key("llama.embedding_length", m_options.width)
        .key("llama.block_count", m_options.blocks)
        .key("llama.feed_forward_length", m_options.feedForward)
        .key("llama.attention.head_count", m_options.heads)
        .key("llama.attention.head_count_kv", m_options.kvHeads)
        .key("llama.attention.layer_norm_rms_epsilon", 1e-5f)
        .key("llama.rope.dimension_count", m_options.width / m_options.heads)
        .key("llama.rope.freq_base", 10000.0f)
        .key("llama.vocab_size", m_options.vocabulary);
  }

  void writeTokenizer() {
    const bool spm = m_options.tokenizer == TinyTokenizer::Spm;
    const std::string space = spm ? "▁" : "Ġ";
    std::vector<std::string> tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    std::vector<int32_t> types = {3, 3, 3};
    std::vector<float> scores = {0, 0, 0};
    if (spm) {
      tokens = {"<unk>", "<s>", "</s>"};
      types[0] = 2;
    }
    const auto add = [&](std::string token, int32_t type, float score) {
      tokens.push_back(std::move(token));
      types.push_back(type);
      scores.push_back(score);
    };
    add(spm ? "<0x0A>" : "Ċ", spm ? 6 : 1, 0);
    add(space, 1, -1000);
    for (const char c : std::string("abcdefghijklmnopqrstuvwxyz.,!?'-:0123456789TSLOHIA")) {
      add(std::string(1, c), 1, -1000 - float(tokens.size()));
    }
    float score = 0;
    for (const std::string& piece :
         {space + "t", std::string("he"), space + "a", space + "the", std::string("in"),
          std::string("an"), std::string("er"), std::string("th"), space + "th"}) {
      add(piece, 1, --score);
    }
    while (tokens.size() < m_options.vocabulary) {
      add("<|unused_" + std::to_string(tokens.size()) + "|>", 5, 0);
    }
    m_gguf.key("tokenizer.ggml.model", spm ? "llama" : "gpt2")
        .key("tokenizer.ggml.pre", spm ? "default" : "gpt-2")
        .key("tokenizer.ggml.tokens", tokens)
        .key("tokenizer.ggml.token_type", types)
        .key("tokenizer.ggml.bos_token_id", uint32_t(spm ? 1 : 0))
        .key("tokenizer.ggml.eos_token_id", uint32_t{2})
        .key("tokenizer.ggml.add_bos_token", spm);
    if (spm) {
      m_gguf.key("tokenizer.ggml.scores", scores)
          .key("tokenizer.ggml.unknown_token_id", uint32_t{0})
          .key("tokenizer.ggml.add_space_prefix", true);
      return;
    }
    m_gguf
        .key("tokenizer.ggml.merges", std::vector<std::string>{"Ġ t", "h e", "Ġ a", "Ġt he", "i n",
                                                               "a n", "e r", "t h", "Ġt h"})
        .key("tokenizer.chat_template",
             "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
             "message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
             "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}");
  }

  // Deviation gain/√columns, so that signals neither vanish nor explode.
  void matrix(const std::string& name, uint64_t columns, uint64_t rows, double gain) {
    const float scale = float(gain / std::sqrt(double(columns)));
    std::string data;
    for (uint64_t i = 0; i < columns * rows; ++i) {
      const float value = m_random.normal() * scale;
      data += m_options.halfFloats ? raw(halfBits(value)) : raw(value);
    }
    m_gguf.tensor(name, {columns, rows}, m_options.halfFloats ? kF16 : kF32, data);
  }

  void norm(const std::string& name) {
    std::vector<float> values(m_options.width);
    for (float& value : values) value = 1 + 0.1f * m_random.normal();
    m_gguf.tensor(name, {m_options.width}, kF32, floatBytes(values));
  }

  TinyModelOptions m_options;
  Random m_random;
  GgufBytes m_gguf;
};

}  // namespace

std::string tinyModelBytes(const TinyModelOptions& options) {
  if (options.vocabulary < 64 || options.width % options.heads != 0) {
    throw std::invalid_argument("a tiny model needs 64 tokens, and a width that heads divide");
  }
  return Writer(options).bytes();
}

std::filesystem::path writeTinyModel(const std::filesystem::path& path,
                                     const TinyModelOptions& options) {
  writeFile(path, tinyModelBytes(options));
  return path;
}

}  // namespace bitloom::test

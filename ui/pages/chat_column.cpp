// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/pages/chat_column.h"

#include <QFileDialog>
#include <QHBoxLayout>
#include <QVBoxLayout>

#include "ui/format.h"
#include "ui/theme.h"

namespace bitloom {

// Tokens on their way from the job's thread to the window's.
struct ChatColumn::Stream {
  std::mutex mutex;
  std::vector<ChatToken> pending;
};

struct ChatColumn::Outcome {
  ChatAnswer answer;
  std::vector<TokenId> prompt;
  std::shared_ptr<const Variant> variant;
};

namespace {

QString topTable(const std::vector<TokenProbability>& reference,
                 const std::vector<TokenProbability>& own, const Tokenizer& tokenizer,
                 const QString& left, const QString& right) {
  QString rows;
  for (const TokenProbability& entry : reference) {
    double mine = -1;
    for (const TokenProbability& other : own) {
      if (other.id == entry.id) mine = other.probability;
    }
    rows += QStringLiteral("<tr><td>%1&nbsp;&nbsp;</td><td align=right>%2&nbsp;&nbsp;</td><td align=right>%3</td></tr>")
                .arg(QString::fromStdString(validUtf8(tokenizer.piece(entry.id, true))).toHtmlEscaped(),
                     formatPercent(entry.probability),
                     mine < 0 ? QObject::tr("below its top 5") : formatPercent(mine));
  }
  return QStringLiteral("<table><tr><td></td><td align=right><i>%1</i>&nbsp;&nbsp;</td><td align=right><i>%2</i></td></tr>%3</table>")
      .arg(left.toHtmlEscaped(), right.toHtmlEscaped(), rows);
}

TranscriptMessage userMessage(const QString& text) {
  return {.fromUser = true, .tokens = {{.text = text}}};
}

}  // namespace

ChatColumn::ChatColumn(Document& document, Source source, const QString& codec, QWidget* parent)
    : QFrame(parent), m_document(document), m_source(source), m_codec(codec) {
  setProperty("card", true);
  m_choice = new QComboBox(this);
  m_choice->setObjectName(QStringLiteral("sourceComboBox"));
  m_choice->setAccessibleName(tr("What answers in this column"));
  m_choice->setSizeAdjustPolicy(QComboBox::AdjustToContents);
  m_hidden = new QLabel(this);
  m_hidden->hide();
  m_figures = new QLabel(this);
  m_figures->setObjectName(QStringLiteral("figuresLabel"));
  m_detail = new QLabel(tr("KV cache f16 · CPU"), this);
  m_footer = new QLabel(this);
  m_footer->setObjectName(QStringLiteral("footerLabel"));
  for (QLabel* label : {m_figures, m_detail, m_footer}) label->setProperty("faint", true);
  m_transcript = new TranscriptView(this);
  m_transcript->setObjectName(QStringLiteral("transcriptView"));
  m_transcript->setAccessibleName(tr("Conversation"));
  m_transcript->setPlaceholder(tr("Ask something below: both columns answer the same prompt."));

  auto* top = new QHBoxLayout;
  top->addWidget(m_choice);
  top->addWidget(m_hidden);
  top->addStretch(1);
  top->addWidget(m_figures);
  auto* head = new QVBoxLayout;
  head->setContentsMargins(kMargin, 12, kMargin, 10);
  head->setSpacing(2);
  head->addLayout(top);
  head->addWidget(m_detail);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(1, 1, 1, 1);
  layout->setSpacing(0);
  layout->addLayout(head);
  auto line = [this] {
    auto* rule = new QFrame(this);
    rule->setProperty("rule", true);
    rule->setFixedHeight(1);
    return rule;
  };
  layout->addWidget(line());
  layout->addWidget(m_transcript, 1);
  layout->addWidget(line());
  m_footer->setContentsMargins(kMargin, 10, kMargin, 12);
  layout->addWidget(m_footer);

  m_pull.setInterval(33);
  connect(&m_pull, &QTimer::timeout, this, &ChatColumn::pull);
  connect(m_choice, &QComboBox::activated, this, [this](int index) {
    const Source chosen = Source(m_choice->itemData(index).toInt());
    if (chosen == Source::File) {
      const QString path = QFileDialog::getOpenFileName(this, tr("Open a model for this column"), {},
                                                        tr("GGUF models (*.gguf)"));
      if (!path.isEmpty()) m_file = path;
      if (m_file.isEmpty()) return fillChoices();
    }
    choose(chosen, m_choice->itemData(index, Qt::UserRole + 1).toString());
  });
  fillChoices();
}

void ChatColumn::reload() {
  stop();
  clear();
  fillChoices();
}

void ChatColumn::choose(Source source, const QString& codec) {
  m_source = source;
  m_codec = codec;
  m_variant.reset();
  fillChoices();
  showFigures();
}

void ChatColumn::swapSource(ChatColumn& other) {
  std::swap(m_file, other.m_file);
  const Source source = m_source;
  const QString codec = m_codec;
  choose(other.m_source, other.m_codec);
  other.choose(source, codec);
}

void ChatColumn::fillChoices() {
  const QSignalBlocker blocker(m_choice);
  m_choice->clear();
  auto add = [this](const QString& text, Source source, const QString& codec = {}) {
    m_choice->addItem(text, int(source));
    m_choice->setItemData(m_choice->count() - 1, codec, Qt::UserRole + 1);
    if (source == m_source && codec == m_codec) m_choice->setCurrentIndex(m_choice->count() - 1);
  };
  if (!m_document.isOpen()) {
    add(tr("No model"), m_source, m_codec);
    return;
  }
  add(tr("%1 (reference)").arg(QString::fromStdString(m_document.model().sourceLabel())), Source::Reference);
  add(tr("This plan · %1").arg(formatBpw(m_document.plan().bitsPerWeight)), Source::Plan);
  for (const Codec* codec : m_document.ladder()) {
    const QString name = QString::fromUtf8(codec->name.data(), qsizetype(codec->name.size()));
    add(tr("Uniform %1").arg(QString::fromUtf8(codec->title.data(), qsizetype(codec->title.size()))),
        Source::Codec, name);
  }
  add(m_file.isEmpty() ? tr("A file…") : m_file.section(QLatin1Char('/'), -1), Source::File);
}

QString ChatColumn::title() const { return m_choice->currentText(); }

void ChatColumn::setHiddenTitle(const QString& hidden) {
  m_hidden->setText(QStringLiteral("<b>%1</b>").arg(hidden));
  m_hidden->setVisible(!hidden.isEmpty());
  m_choice->setVisible(hidden.isEmpty());
  m_detail->setVisible(hidden.isEmpty());
  m_figures->setVisible(hidden.isEmpty());  // speed and size would give the column away
}

Result<Recipe> ChatColumn::recipe() const {
  if (m_source == Source::Plan) return m_document.recipe();
  if (m_source != Source::Codec) return Recipe{.name = "source"};
  const Codec* codec = findCodec(m_codec.toStdString());
  if (codec == nullptr) {
    return makeError(ErrorCode::InvalidArgument, "There is no codec \"", m_codec.toStdString(), "\".");
  }
  return uniformRecipe(*codec);
}

void ChatColumn::ask(const QString& prompt, const QString& system, const ChatOptions& options) {
  auto wanted = recipe();
  if (!wanted) return emit failed(QString::fromStdString(wanted.error().message));
  m_messages.push_back({"user", prompt.toStdString()});
  std::vector<ChatMessage> conversation = m_messages;
  if (!system.isEmpty()) conversation.insert(conversation.begin(), {"system", system.toStdString()});
  auto messages = m_transcript->messages();
  messages.push_back(userMessage(prompt));
  messages.push_back({});
  m_transcript->setMessages(std::move(messages));
  m_footer->setText(tr("reading the prompt…"));
  m_figures->clear();
  m_answer = {};

  auto stream = std::make_shared<Stream>();
  m_stream = stream;
  const auto model = m_document.sharedModel();
  const QString file = m_source == Source::File ? m_file : QString();
  WeightCache& weights = m_document.weights();
  const ChatTemplate chat = m_document.chatTemplate();
  m_job = m_document.jobs().start<Outcome>(
      tr("Chat · %1").arg(title()), JobPriority::Chat, this,
      [=, &weights, recipe = *wanted](JobContext& job) -> Result<Outcome> {
        auto source = model;
        if (!file.isEmpty()) {
          TRY(source, Model::open(file.toStdString()));
        }
        TRY(auto tokenizer, Tokenizer::create(source->metadata()));
        TRY(auto variant, Variant::create(source, weights));
        if (!recipe.rules.empty()) {
          TRY(auto plan, resolve(recipe, *source));
          variant.setPlan(plan);
        }
        Outcome outcome;
        outcome.variant = std::make_shared<const Variant>(std::move(variant));
        TRY(auto text, chat.render(conversation, true));
        outcome.prompt = tokenizer.encode(text, true);
        auto sink = [&](const ChatToken& token) {
          std::lock_guard lock(stream->mutex);
          stream->pending.push_back(token);
        };
        TRY(outcome.answer, bitloom::answer(*outcome.variant, tokenizer, outcome.prompt, options, sink, job));
        return outcome;
      },
      [this](Result<Outcome> outcome) { finish(std::move(outcome)); }, true);
  m_pull.start();
}

void ChatColumn::pull() {
  if (!m_stream) return;
  std::vector<ChatToken> fresh;
  {
    std::lock_guard lock(m_stream->mutex);
    fresh.swap(m_stream->pending);
  }
  if (fresh.empty()) return;
  auto messages = m_transcript->messages();
  if (messages.empty()) return;
  for (const ChatToken& token : fresh) {
    messages.back().tokens.push_back({.text = QString::fromStdString(token.text)});
    m_answer.tokens.push_back(token);
    m_answer.text += token.text;
  }
  m_transcript->setMessages(std::move(messages));
  m_footer->setText(tr("%n token(s)", nullptr, int(m_answer.tokens.size())));
}

void ChatColumn::finish(Result<Outcome> outcome) {
  pull();
  m_pull.stop();
  m_job = 0;
  if (outcome) {
    m_answer = outcome->answer;
    m_prompt = outcome->prompt;
    m_variant = outcome->variant;
    showFigures();
    setFooter({});
  } else if (outcome.error().code == ErrorCode::Cancelled) {
    m_footer->setText(tr("stopped after %n token(s)", nullptr, int(m_answer.tokens.size())));
  } else {
    m_footer->clear();
    emit failed(QString::fromStdString(outcome.error().message));
  }
  m_messages.push_back({"assistant", m_answer.text});
  emit answered();
}

void ChatColumn::stop() {
  if (m_job != 0) m_document.jobs().cancel(m_job);
}

void ChatColumn::clear() {
  m_messages.clear();
  m_answer = {};
  m_prompt.clear();
  m_transcript->setMessages({});
  m_figures->clear();
  m_footer->clear();
}

void ChatColumn::dropLastExchange() {
  auto messages = m_transcript->messages();
  for (int i = 0; i < 2 && !messages.empty(); ++i) messages.pop_back();
  for (int i = 0; i < 2 && !m_messages.empty(); ++i) m_messages.pop_back();
  m_transcript->setMessages(std::move(messages));
}

void ChatColumn::showFigures() {
  if (m_answer.tokens.empty() || !m_variant) return m_figures->clear();
  uint64_t bytes = m_answer.cacheBytes;
  bytes += m_source == Source::Plan ? m_document.plan().tensorBytes : m_variant->model().fileBytes();
  if (m_source == Source::Codec) {
    const auto wanted = recipe();
    const auto plan = wanted ? resolve(*wanted, m_document.model()) : Result<Plan>(Plan{});
    if (plan) bytes = m_answer.cacheBytes + plan->tensorBytes;
  }
  m_figures->setText(tr("%1 tok/s · first token %2 · %3")
                         .arg(m_answer.tokensPerSecond, 0, 'f', 1)
                         .arg(formatDuration(m_answer.firstTokenSeconds), formatGB(bytes)));
  m_figures->setToolTip(tr("Size of weights as stored plus KV cache. The CPU engine works on weights "
                           "decoded to f32, so speed does not depend on the codec yet."));
}

void ChatColumn::showComparison(const std::vector<ChatToken>& compared, int divergence,
                                const QString& leftTitle, const QString& rightTitle) {
  auto messages = m_transcript->messages();
  if (messages.empty() || !m_document.tokenizer()) return;
  auto& tokens = messages.back().tokens;
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i].diverges = int(i) == divergence;
    if (i >= compared.size()) continue;
    tokens[i].kld = compared[i].kld;
    QString head = tokens[i].diverges ? tr("<b>token %1: first divergence</b>").arg(i + 1)
                                      : tr("<b>token %1</b>").arg(i + 1);
    tokens[i].tooltip = head + topTable(compared[i].referenceTop, compared[i].top, *m_document.tokenizer(),
                                        leftTitle, rightTitle) +
                        tr("KL %1 nats").arg(formatKld(compared[i].kld));
  }
  m_transcript->setMessages(std::move(messages));
}

void ChatColumn::showForced(const std::vector<ChatToken>& scored, const QString& leftTitle,
                            const QString& rightTitle) {
  auto messages = m_transcript->messages();
  if (messages.empty()) return;
  messages.back().tokens.clear();
  for (const ChatToken& token : scored) {
    messages.back().tokens.push_back({.text = QString::fromStdString(token.text)});
  }
  m_transcript->setMessages(std::move(messages));
  showComparison(scored, -1, leftTitle, rightTitle);
}

void ChatColumn::setFooter(const QString& text) {
  const QString count = tr("%n token(s)", nullptr, int(m_answer.tokens.size()));
  m_footer->setText(text.isEmpty() ? count : text);
}

}  // namespace bitloom

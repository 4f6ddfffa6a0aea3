// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/transcript_view.h"

#include <QApplication>
#include <QClipboard>
#include <QContextMenuEvent>
#include <QFontMetricsF>
#include <QHelpEvent>
#include <QMenu>
#include <QMouseEvent>
#include <QPainter>
#include <QScrollBar>
#include <QToolTip>
#include <cmath>

#include "ui/theme.h"

namespace bitloom {
namespace {

constexpr qreal kPad = 20;     // around the text
constexpr qreal kLead = 1.55;  // line height ÷ font height
constexpr qreal kBubbleX = 16;
constexpr qreal kBubbleY = 9;

// KL of one token → strength of its tint: 1e-4 nats is invisible, 1 is full.
double tint(double kld) { return kld <= 1e-4 ? 0 : std::min(1.0, (std::log10(kld) + 4) / 4); }

}  // namespace

TranscriptView::TranscriptView(QWidget* parent) : QAbstractScrollArea(parent) {
  setFrameShape(QFrame::NoFrame);
  setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  setFocusPolicy(Qt::StrongFocus);
  viewport()->setMouseTracking(true);
}

void TranscriptView::setMessages(std::vector<TranscriptMessage> messages) {
  m_messages = std::move(messages);
  layoutAll();
}

void TranscriptView::setPlaceholder(const QString& text) {
  m_placeholder = text;
  viewport()->update();
}

QString TranscriptView::plainText() const {
  QString out;
  for (const TranscriptMessage& message : m_messages) {
    if (!out.isEmpty()) out += QStringLiteral("\n\n");
    if (message.fromUser) out += QStringLiteral("> ");
    for (const TranscriptToken& token : message.tokens) out += token.text;
  }
  return out;
}

void TranscriptView::layoutAll() {
  QScrollBar* bar = verticalScrollBar();
  const bool atEnd = bar->value() >= bar->maximum() - 4;
  m_pieces.clear();
  m_bubbles.clear();
  qreal top = kPad;
  for (size_t i = 0; i < m_messages.size(); ++i) {
    top = (m_messages[i].fromUser ? layoutUser(i, top) : layoutAnswer(i, top)) + kPad;
  }
  bar->setPageStep(viewport()->height());
  bar->setRange(0, std::max(0, int(top) - viewport()->height()));
  if (atEnd) bar->setValue(bar->maximum());
  setAccessibleDescription(plainText());
  viewport()->update();
}

qreal TranscriptView::layoutUser(size_t message, qreal top) {
  const auto& tokens = m_messages[message].tokens;
  const QString text = tokens.empty() ? QString() : tokens[0].text;
  const qreal widest = std::max<qreal>(40, (viewport()->width() - 2 * kPad) * 0.8 - 2 * kBubbleX);
  const QRectF bounds =
      QFontMetricsF(font()).boundingRect(QRectF(0, 0, widest, 1e6), Qt::TextWordWrap, text);
  const qreal width = std::ceil(bounds.width()) + 2 * kBubbleX + 2;
  const QRectF bubble(viewport()->width() - kPad - width, top, width,
                      std::ceil(bounds.height()) + 2 * kBubbleY);
  m_bubbles.push_back(bubble);
  m_pieces.push_back({bubble.adjusted(kBubbleX, kBubbleY, -kBubbleX, -kBubbleY), text, message, 0});
  return bubble.bottom();
}

qreal TranscriptView::layoutAnswer(size_t message, qreal top) {
  const QFontMetricsF metrics(font());
  const qreal lineHeight = metrics.height() * kLead;
  const qreal right = viewport()->width() - kPad;
  const auto& tokens = m_messages[message].tokens;
  qreal x = kPad;
  auto newLine = [&] {
    x = kPad;
    top += lineHeight;
  };
  for (size_t t = 0; t < tokens.size(); ++t) {
    const QStringList lines = tokens[t].text.split(QLatin1Char('\n'));
    for (int l = 0; l < lines.size(); ++l) {
      if (l > 0) newLine();
      QString text = lines[l];
      if (text.isEmpty()) continue;
      // A word is kept whole: measure up to the next token that begins another.
      qreal word = metrics.horizontalAdvance(text);
      for (size_t n = t + 1; l == lines.size() - 1 && n < tokens.size(); ++n) {
        const QString& next = tokens[n].text;
        if (next.isEmpty()) continue;
        if (next[0].isSpace()) break;
        word += metrics.horizontalAdvance(next);
      }
      const bool breakable = text[0].isSpace() || x + metrics.horizontalAdvance(text) > right;
      if (x > kPad && x + word > right && breakable) newLine();
      if (x == kPad && text[0] == QLatin1Char(' ')) text.remove(0, 1);
      const qreal width = metrics.horizontalAdvance(text);
      m_pieces.push_back({QRectF(x, top, width, lineHeight), text, message, t});
      x += width;
    }
  }
  return top + lineHeight;
}

void TranscriptView::paintMarks(QPainter& painter, const Piece& piece) const {
  const TranscriptToken& token = m_messages[piece.message].tokens[piece.token];
  const bool spaced = piece.text.startsWith(QLatin1Char(' '));
  const qreal gap = spaced ? QFontMetricsF(font()).horizontalAdvance(QLatin1Char(' ')) - 1.5 : 0;
  const QRectF mark = piece.box.adjusted(gap - 1, 3, 1, -3);
  if (const double strength = tint(token.kld); strength > 0) {
    QColor color = heatColor(strength);
    color.setAlphaF(theme().dark ? 0.45f : 0.35f);
    painter.setPen(Qt::NoPen);
    painter.setBrush(color);
    painter.drawRoundedRect(mark, 4, 4);
  }
  if (token.diverges) {
    painter.setPen(QPen(theme().warn, 2));
    painter.setBrush(Qt::NoBrush);
    painter.drawRoundedRect(mark.adjusted(-2, -1, 2, 1), 5, 5);
  }
}

void TranscriptView::paintEvent(QPaintEvent*) {
  QPainter painter(viewport());
  painter.setRenderHint(QPainter::Antialiasing);
  painter.fillRect(viewport()->rect(), theme().panel);
  if (m_messages.empty()) {
    painter.setPen(theme().faint);
    painter.drawText(viewport()->rect().adjusted(40, 40, -40, -40),
                     Qt::AlignCenter | Qt::TextWordWrap, m_placeholder);
    return;
  }
  painter.translate(0, -verticalScrollBar()->value());
  painter.setPen(Qt::NoPen);
  painter.setBrush(theme().accentSoft);
  for (const QRectF& bubble : m_bubbles) painter.drawRoundedRect(bubble, kRadius, kRadius);
  for (const Piece& piece : m_pieces) {
    const bool fromUser = m_messages[piece.message].fromUser;
    if (!fromUser) paintMarks(painter, piece);
    painter.setPen(theme().text);
    painter.drawText(piece.box,
                     fromUser ? int(Qt::TextWordWrap) : int(Qt::AlignVCenter | Qt::TextDontClip),
                     piece.text);
  }
}

void TranscriptView::resizeEvent(QResizeEvent* event) {
  QAbstractScrollArea::resizeEvent(event);
  layoutAll();
}

bool TranscriptView::viewportEvent(QEvent* event) {
  if (event->type() != QEvent::ToolTip) return QAbstractScrollArea::viewportEvent(event);
  const auto* help = static_cast<QHelpEvent*>(event);
  const Piece* piece = pieceAt(help->pos());
  const QString tip =
      piece == nullptr ? QString() : m_messages[piece->message].tokens[piece->token].tooltip;
  if (tip.isEmpty()) {
    QToolTip::hideText();
  } else {
    QToolTip::showText(help->globalPos(), tip, viewport());
  }
  return true;
}

const TranscriptView::Piece* TranscriptView::pieceAt(QPoint position) const {
  const QPointF at = position + QPointF(0, verticalScrollBar()->value());
  for (const Piece& piece : m_pieces) {
    if (piece.box.contains(at)) return &piece;
  }
  return nullptr;
}

const TranscriptView::Piece* TranscriptView::comparedAt(QPoint position) const {
  const Piece* piece = pieceAt(position);
  if (piece == nullptr || m_messages[piece->message].tokens[piece->token].kld < 0) return nullptr;
  return piece;
}

void TranscriptView::mouseMoveEvent(QMouseEvent* event) {
  viewport()->setCursor(comparedAt(event->pos()) ? Qt::PointingHandCursor : Qt::ArrowCursor);
  QAbstractScrollArea::mouseMoveEvent(event);
}

void TranscriptView::mouseReleaseEvent(QMouseEvent* event) {
  QAbstractScrollArea::mouseReleaseEvent(event);
  const Piece* piece = event->button() == Qt::LeftButton ? comparedAt(event->pos()) : nullptr;
  if (piece != nullptr) emit tokenAsked(piece->message, piece->token);
}

void TranscriptView::contextMenuEvent(QContextMenuEvent* event) {
  QMenu menu(this);
  if (const Piece* piece = comparedAt(event->pos())) {
    menu.addAction(tr("Which tensor broke this token?"), this,
                   [this, message = piece->message, token = piece->token] {
                     emit tokenAsked(message, token);
                   });
  }
  menu.addAction(tr("Copy conversation"), this,
                 [this] { QApplication::clipboard()->setText(plainText()); });
  menu.exec(event->globalPos());
}

void TranscriptView::keyPressEvent(QKeyEvent* event) {
  if (event->matches(QKeySequence::Copy)) {
    QApplication::clipboard()->setText(plainText());
    return;
  }
  QAbstractScrollArea::keyPressEvent(event);
}

void TranscriptView::changeEvent(QEvent* event) {
  QAbstractScrollArea::changeEvent(event);
  if (event->type() == QEvent::FontChange || event->type() == QEvent::PaletteChange) layoutAll();
}

}  // namespace bitloom

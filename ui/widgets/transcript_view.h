// SPDX-License-Identifier: GPL-3.0-or-later
// A conversation as one column: what the user said in a bubble on the right, answers as flowing
// text whose tokens can be tinted by their KL and marked where two columns part. Hovering a token
// shows the likeliest tokens of both models.
#pragma once
#include <QAbstractScrollArea>
#include <QString>
#include <vector>

namespace bitloom {

struct TranscriptToken {
  QString text;
  double kld = -1;        // nats; −1: not compared, no tint
  bool diverges = false;  // first token that differs from the other column
  QString tooltip;
};

struct TranscriptMessage {
  bool fromUser = false;
  std::vector<TranscriptToken> tokens;  // the user's text is one token
};

class TranscriptView : public QAbstractScrollArea {
  Q_OBJECT

 public:
  explicit TranscriptView(QWidget* parent = nullptr);

  void setMessages(std::vector<TranscriptMessage> messages);
  const std::vector<TranscriptMessage>& messages() const { return m_messages; }
  void setPlaceholder(const QString& text);  // shown while there is no message
  QString plainText() const;

 signals:
  // A compared token was clicked, or asked about in its menu.
  void tokenAsked(size_t message, size_t token);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;
  bool viewportEvent(QEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mouseReleaseEvent(QMouseEvent* event) override;
  void contextMenuEvent(QContextMenuEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;
  void changeEvent(QEvent* event) override;

 private:
  struct Piece {  // a run of one token on one line
    QRectF box;
    QString text;
    size_t message;
    size_t token;
  };
  void layoutAll();
  qreal layoutUser(size_t message, qreal top);
  qreal layoutAnswer(size_t message, qreal top);
  void paintMarks(QPainter& painter, const Piece& piece) const;
  const Piece* pieceAt(QPoint position) const;  // null: there is none
  const Piece* comparedAt(QPoint position) const;

  std::vector<TranscriptMessage> m_messages;
  std::vector<Piece> m_pieces;
  std::vector<QRectF> m_bubbles;
  QString m_placeholder;
};

}  // namespace bitloom

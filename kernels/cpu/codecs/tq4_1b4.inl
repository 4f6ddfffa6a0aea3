// SPDX-License-Identifier: GPL-3.0-or-later
constexpr PanelCodec kPanel_tq4_1b4 = panelCodec<OneBitLayout<4, 4>>("tq4_1b4");

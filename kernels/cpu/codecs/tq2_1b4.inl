// SPDX-License-Identifier: GPL-3.0-or-later
constexpr PanelCodec kPanel_tq2_1b4 = panelCodec<OneBitLayout<2, 4>>("tq2_1b4");

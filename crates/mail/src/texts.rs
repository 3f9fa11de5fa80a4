//! The texts of mails, in each language. `{site}` is replaced by the name of the service.

use super::message::{MailTemplate, SecurityNotice};
use guarita_core::Language;

/// The texts of one kind of mail.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) subject: &'static str,
    pub(super) lead: &'static str,
    /// The text of the link; empty if there is none.
    pub(super) action: &'static str,
    pub(super) closing: &'static str,
}

/// The texts that all mails share, in one language.
#[derive(Debug)]
pub(super) struct Phrases {
    /// How long a link is valid; followed by the number and `minute` or `minutes`.
    pub(super) validity: &'static str,
    pub(super) minute: &'static str,
    pub(super) minutes: &'static str,
    /// Introduces the URL, in case the button does not work.
    pub(super) by_hand: &'static str,
    pub(super) automatic: &'static str,
}

pub(super) const fn phrases(language: Language) -> &'static Phrases {
    match language {
        Language::PtBr => &Phrases {
            validity: "O link funciona uma única vez e vale por",
            minute: "minuto",
            minutes: "minutos",
            by_hand: "Se o botão não funcionar, copie este endereço para o navegador:",
            automatic: "Esta mensagem foi enviada automaticamente; não é preciso responder.",
        },
        Language::Es => &Phrases {
            validity: "El enlace funciona una sola vez y vale durante",
            minute: "minuto",
            minutes: "minutos",
            by_hand: "Si el botón no funciona, copie esta dirección en el navegador:",
            automatic: "Este mensaje se envió automáticamente; no hace falta responder.",
        },
        Language::En => &Phrases {
            validity: "The link can be used once and is valid for",
            minute: "minute",
            minutes: "minutes",
            by_hand: "If the button does not work, copy this address into your browser:",
            automatic: "This message was sent automatically; there is no need to reply.",
        },
    }
}

pub(super) const fn words(letter: MailTemplate, language: Language) -> &'static Words {
    match language {
        Language::PtBr => portuguese(letter),
        Language::Es => spanish(letter),
        Language::En => english(letter),
    }
}

const fn portuguese(letter: MailTemplate) -> &'static Words {
    match letter {
        MailTemplate::Reset => &Words {
            subject: "Defina uma nova senha",
            lead: "Foi pedida uma nova senha para a sua conta em {site}.",
            action: "Definir nova senha",
            closing: "Se não foi você que pediu, ignore esta mensagem: a sua senha continua a mesma.",
        },
        MailTemplate::Verification => &Words {
            subject: "Confirme o seu e-mail",
            lead: "Confirme que este é o e-mail da sua conta em {site}.",
            action: "Confirmar e-mail",
            closing: "Se você não tem conta neste serviço, ignore esta mensagem.",
        },
        MailTemplate::Notice(SecurityNotice::PasswordChanged) => &Words {
            subject: "A sua senha foi alterada",
            lead: "A senha da sua conta em {site} foi alterada, e as outras sessões foram encerradas.",
            action: "",
            closing: "Se não foi você, peça agora mesmo uma nova senha e avise quem administra o serviço.",
        },
        MailTemplate::Notice(SecurityNotice::FactorAdded) => &Words {
            subject: "Verificação em duas etapas ativada",
            lead: "Para entrar na sua conta em {site}, agora também é pedido um código.",
            action: "",
            closing: "Se não foi você, peça agora mesmo uma nova senha e avise quem administra o serviço.",
        },
        MailTemplate::Notice(SecurityNotice::FactorRemoved) => &Words {
            subject: "Verificação em duas etapas desativada",
            lead: "Para entrar na sua conta em {site}, não é mais pedido um código.",
            action: "",
            closing: "Se não foi você, peça agora mesmo uma nova senha e avise quem administra o serviço.",
        },
        MailTemplate::Test => &Words {
            subject: "Mensagem de teste",
            lead: "O envio de e-mails de {site} funciona.",
            action: "",
            closing: "Você não precisa fazer nada.",
        },
    }
}

const fn spanish(letter: MailTemplate) -> &'static Words {
    match letter {
        MailTemplate::Reset => &Words {
            subject: "Elija una contraseña nueva",
            lead: "Se ha pedido una contraseña nueva para su cuenta en {site}.",
            action: "Elegir contraseña nueva",
            closing: "Si no la ha pedido usted, ignore este mensaje: su contraseña sigue siendo la misma.",
        },
        MailTemplate::Verification => &Words {
            subject: "Confirme su correo electrónico",
            lead: "Confirme que esta es la dirección de su cuenta en {site}.",
            action: "Confirmar dirección",
            closing: "Si no tiene cuenta en este servicio, ignore este mensaje.",
        },
        MailTemplate::Notice(SecurityNotice::PasswordChanged) => &Words {
            subject: "Su contraseña ha cambiado",
            lead: "La contraseña de su cuenta en {site} ha cambiado y se han cerrado las demás sesiones.",
            action: "",
            closing: "Si no ha sido usted, pida enseguida una contraseña nueva y avise a quien administra el servicio.",
        },
        MailTemplate::Notice(SecurityNotice::FactorAdded) => &Words {
            subject: "Verificación en dos pasos activada",
            lead: "Para entrar en su cuenta en {site} ahora se pide también un código.",
            action: "",
            closing: "Si no ha sido usted, pida enseguida una contraseña nueva y avise a quien administra el servicio.",
        },
        MailTemplate::Notice(SecurityNotice::FactorRemoved) => &Words {
            subject: "Verificación en dos pasos desactivada",
            lead: "Para entrar en su cuenta en {site} ya no se pide un código.",
            action: "",
            closing: "Si no ha sido usted, pida enseguida una contraseña nueva y avise a quien administra el servicio.",
        },
        MailTemplate::Test => &Words {
            subject: "Mensaje de prueba",
            lead: "El envío de correos de {site} funciona.",
            action: "",
            closing: "No tiene que hacer nada.",
        },
    }
}

const fn english(letter: MailTemplate) -> &'static Words {
    match letter {
        MailTemplate::Reset => &Words {
            subject: "Set a new password",
            lead: "A new password was requested for your account at {site}.",
            action: "Set a new password",
            closing: "If you did not request it, ignore this message: your password stays the same.",
        },
        MailTemplate::Verification => &Words {
            subject: "Confirm your e-mail address",
            lead: "Please confirm that this is the address of your account at {site}.",
            action: "Confirm the address",
            closing: "If you have no account with this service, ignore this message.",
        },
        MailTemplate::Notice(SecurityNotice::PasswordChanged) => &Words {
            subject: "Your password was changed",
            lead: "The password of your account at {site} was changed and all other sessions were ended.",
            action: "",
            closing: "If this was not you, request a new password at once and inform the administrator of the service.",
        },
        MailTemplate::Notice(SecurityNotice::FactorAdded) => &Words {
            subject: "Two-step verification is on",
            lead: "Signing in to your account at {site} now asks for a code too.",
            action: "",
            closing: "If this was not you, request a new password at once and inform the administrator of the service.",
        },
        MailTemplate::Notice(SecurityNotice::FactorRemoved) => &Words {
            subject: "Two-step verification is off",
            lead: "Signing in to your account at {site} no longer asks for a code.",
            action: "",
            closing: "If this was not you, request a new password at once and inform the administrator of the service.",
        },
        MailTemplate::Test => &Words {
            subject: "Test message",
            lead: "{site} can send mail.",
            action: "",
            closing: "You do not need to do anything.",
        },
    }
}
